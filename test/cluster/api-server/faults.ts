import { Refusal, failure } from './statuses.ts'
import type { Reply } from './call.ts'

/** An answer that the server gives in place of its own. */
export type Fault = Aim &
  (
    | { readonly status: number; readonly retryAfterSeconds?: number }
    /** The head promises a whole body, and the connection ends in the middle of it. */
    | { readonly body: 'half' }
    /** 200, and a page that somebody in between has made. */
    | { readonly body: 'html' }
    /** The request is carried out, and the connection ends before the answer. */
    | { readonly body: 'none' }
    /** The head, and then a body that comes letter by letter and takes longer than anybody waits. */
    | { readonly body: 'drip' }
    /** Its own answer, but late. */
    | { readonly delayMs: number }
  )

/** Which requests a fault is for: of one verb, or to paths that begin so; all, if it does not say. */
type Aim = { readonly verb?: string; readonly path?: string }

export type FaultQueue = {
  /** The next requests that it is for get this answer. */
  answerNext(times: number, fault: Fault): void
  /** All requests that it is for get this answer, until they are forgotten. */
  answerAll(fault: Fault): void
  take(verb: string, path: string): Fault | undefined
  /** No more of them. */
  forget(): void
}

export function createFaultQueue(): FaultQueue {
  let waiting: Fault[] = []
  let standing: Fault[] = []
  return {
    answerAll: (fault) => void standing.push(fault),
    answerNext(times, fault) {
      for (let left = times; left > 0; left -= 1) waiting.push(fault)
    },
    forget: () => {
      waiting = []
      standing = []
    },
    take(verb, path) {
      const isFor = (fault: Fault) => (fault.verb ?? verb) === verb && path.startsWith(fault.path ?? path)
      const at = waiting.findIndex(isFor)
      return at === -1 ? standing.find(isFor) : waiting.splice(at, 1)[0]
    },
  }
}

/** The words that a real server has for a status. */
export function replyOf({
  status,
  retryAfterSeconds,
}: {
  status: number
  retryAfterSeconds?: number
}): Reply {
  const headers = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }
  // The filter that protects the server from too much work does not speak JSON.
  if (status === 429) return { code: 429, text: 'Too many requests, please try again later.\n', headers }
  const [reason, message] = WORDS[status] ?? [undefined, 'an error on the server']
  const refusal = new Refusal(failure(status, reason, message), headers)
  return { code: status, body: refusal.status, headers }
}

const WORDS: Readonly<Record<number, [string, string]>> = {
  401: ['Unauthorized', 'Unauthorized'],
  403: ['Forbidden', 'nodes is forbidden: denied for a while'],
  409: ['Conflict', 'Operation cannot be fulfilled: the object has been modified'],
  500: ['InternalError', 'Internal error occurred: etcdserver: request timed out'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
}
