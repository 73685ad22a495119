import type { IncomingMessage } from 'node:http'
import type { Access, GetAccess } from './access.ts'
import { ApiError, answerError, errorCode, shorten } from './api-error.ts'
import { startGuard } from './guard.ts'
import type { Guard } from './guard.ts'
import { describe, send } from './send.ts'
import type { ApiRequest } from './send.ts'

export type ApiClient = {
  /** The whole answer, as it came; it may be empty. */
  readonly text: (request: ApiRequest, signal?: AbortSignal) => Promise<string>
  /** The whole answer, as a value. */
  readonly json: (request: ApiRequest, signal?: AbortSignal) => Promise<unknown>
  /** The lines of an answer that goes on, as values. */
  readonly lines: (request: ApiRequest, signal?: AbortSignal) => AsyncGenerator<unknown, void, undefined>
}

export type ClientOptions = {
  readonly getAccess: GetAccess
  readonly userAgent: string
  /** For a whole answer, and for the head of one that goes on. */
  readonly timeoutMs: number
  /** For the silence between two lines. */
  readonly silenceMs: number
}

export type ConnectOptions = Pick<ClientOptions, 'getAccess'> & Partial<ClientOptions>

/** A client with the agent's name and patience: 10 s, and in a watch, where a bookmark comes every minute, 150 s. */
export function connectClient(options: ConnectOptions): ApiClient {
  const { getAccess, userAgent = 'node-firewall', timeoutMs = 10_000, silenceMs = 150_000 } = options
  return createClient({ getAccess, userAgent, timeoutMs, silenceMs })
}

/** Requests that end in a value or an `ApiError`; or, when `signal` aborts, in its reason. */
function createClient(options: ClientOptions): ApiClient {
  const text: ApiClient['text'] = async (request, signal) => {
    const guard = startGuard(options.timeoutMs, signal)
    try {
      return await readAll(await exchange(request, options, guard))
    } catch (error) {
      throw explain(error, request, guard, options.timeoutMs, signal)
    } finally {
      guard.release()
    }
  }
  return {
    text,
    json: async (request, signal) => parse(request, await text(request, signal)),

    async *lines(request, signal) {
      const guard = startGuard(options.timeoutMs, signal)
      let answer: IncomingMessage | undefined
      try {
        answer = await exchange(request, options, guard)
        guard.push(options.silenceMs)
        for await (const line of readLines(answer)) {
          // Not for less: a line that never ends would keep a watch that tells nothing for ever.
          guard.push(options.silenceMs)
          yield parse(request, line)
        }
      } catch (error) {
        if (answer !== undefined && guard.expired() && signal?.aborted !== true)
          throw silence(request, options)
        throw explain(error, request, guard, options.timeoutMs, signal)
      } finally {
        guard.release()
        answer?.destroy()
      }
    },
  }
}

function silence(request: ApiRequest, { silenceMs }: ClientOptions): ApiError {
  return new ApiError(describe(request), 'silence', `nothing came for ${silenceMs / 1000} s`)
}

/** An answer of success. A 401 may mean that the token has just rotated: it is read again, once. */
async function exchange(request: ApiRequest, options: ClientOptions, guard: Guard): Promise<IncomingMessage> {
  const access = await getAccess(request, options)
  let answer = await send(request, access, options.userAgent, guard.signal)
  if (answer.statusCode === 401) {
    answer.resume()
    answer = await send(request, await getAccess(request, options, access), options.userAgent, guard.signal)
  }
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  throw answerError(describe(request), status, await readAll(answer), answer.headers['retry-after'])
}

async function getAccess(request: ApiRequest, options: ClientOptions, refused?: Access): Promise<Access> {
  try {
    return await options.getAccess(refused)
  } catch (cause) {
    const why = `reading the credentials: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new ApiError(describe(request), 'credentials', why, { cause })
  }
}

async function readAll(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer as AsyncIterable<string>) text += chunk
  return text
}

async function* readLines(answer: IncomingMessage): AsyncGenerator<string, void, undefined> {
  let rest = ''
  for await (const chunk of answer as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

function parse(request: ApiRequest, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new ApiError(describe(request), 'body', `the answer is no JSON: ${shorten(text, 80)}`, { cause })
  }
}

/** What a failure means: bad luck with the network, too slow, or what it already says. */
function explain(
  error: unknown,
  request: ApiRequest,
  guard: Guard,
  ms: number,
  signal?: AbortSignal,
): unknown {
  if (signal?.aborted === true) return signal.reason
  if (guard.expired()) return new ApiError(describe(request), 'timeout', `nothing came for ${ms / 1000} s`)
  if (error instanceof ApiError || !(error instanceof Error)) return error
  const why = error.message === 'aborted' ? 'the answer broke off' : `no connection: ${errorCode(error)}`
  return new ApiError(describe(request), 'connection', why, { cause: error })
}
