import { OutsideError } from '../errors.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'

/**
 * The answer to a request, or why there is none, as an OutsideError also when `signal` aborts: an attempt that its
 * deadline has cut short has failed like any other, and its message has to say which request it was.
 */
export async function inTime<T>(request: ApiRequest, answer: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    if (cause instanceof OutsideError || !signal.aborted) throw cause
    throw new OutsideError(`${describe(request)}: no answer in time`, { cause })
  }
}
