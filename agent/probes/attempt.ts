import { ProbeError } from './probe-error.ts'

/**
 * Makes one attempt, with a signal that aborts when `timeoutMs` are over, when `signal` does, and at the end of the
 * attempt in any case: what it has begun and not ended ends with it.
 */
export async function attemptWithin<T>(
  timeoutMs: number,
  signal: AbortSignal,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController()
  const callOff = () => own.abort(new ProbeError('called off before there was an answer'))
  const timer = setTimeout(
    () => own.abort(new ProbeError(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  )
  signal.addEventListener('abort', callOff)
  if (signal.aborted) callOff()
  try {
    own.signal.throwIfAborted()
    return await attempt(own.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', callOff)
    own.abort()
  }
}
