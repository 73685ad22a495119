import type { IncomingHttpHeaders } from 'node:http'
import type { Identity, Verb } from './access-control.ts'
import type { Target } from './resources.ts'
import type { Store } from './store.ts'
import type { OpenWatch, Sink, StartTimer } from './watch.ts'

export type Call = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export type Reply = (
  | { code: number; body: unknown; headers?: Readonly<Record<string, string>> }
  | { code: number; text: string; headers?: Readonly<Record<string, string>> }
  | { code: number; stream: (sink: Sink) => OpenWatch }
  /** With no headers but these. */
  | { code: number; raw: string; headers: IncomingHttpHeaders }
) & {
  /** A request that may take for ever, and so has no place in the queues of priority and fairness. */
  longRunning?: true
}

export type World = {
  readonly store: Store
  readonly tokens: ReadonlyMap<string, Identity>
  /** How long a GET or LIST waits for a version that lies in the future: 3 s in a real server. */
  readonly futureWaitMs: number
  readonly bookmarkEveryMs: number
  /** What watches go by. */
  readonly timer: StartTimer
  readonly kubelet: Kubelet
}

/** What every kubelet has to say, and how long the server tries to reach one: 30 s in a real server. */
export type Kubelet = {
  log: string
  dialTimeoutMs: number
  /** Asks a kubelet in earnest; rejects with what a real server says when it cannot. */
  readLog?: (log: LogAddress) => Promise<string>
}

/** `path`: what the kubelet is asked for. */
export type LogAddress = { readonly address: string; readonly port: number; readonly path: string }

/** `?watch=true` on the path of one object is an ordinary GET. */
export function verbOf({ method, query }: Call, { name }: Target): Verb | undefined {
  if (name === undefined) {
    if (method === 'POST') return 'create'
    if (method === 'GET') return ['true', '1'].includes(query.get('watch') ?? '') ? 'watch' : 'list'
    return undefined
  }
  if (method === 'GET') return 'get'
  if (method === 'PATCH') return 'patch'
  return method === 'DELETE' ? 'delete' : undefined
}

export function header(call: Call, name: string): string | undefined {
  const value = call.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}
