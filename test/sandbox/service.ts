import { startChild } from './child.ts'
import type { Host } from './host.ts'
import { serveRequests } from './serve-requests.ts'

/** What a process of the sandbox can be asked to do: functions of what JSON can carry. */
export type Methods = Readonly<Record<string, (...args: never[]) => unknown>>

/** A process on a host that does more than listen, as its methods. */
export type Service<M extends Methods> = {
  readonly [Name in keyof M]: (...args: Parameters<M[Name]>) => Promise<Awaited<ReturnType<M[Name]>>>
} & { readonly pid: number; close(): Promise<void> }

type Request =
  | { readonly kind: 'names' }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly unknown[] }

/**
 * Starts a file that ends in `serveMethods` as a process in the network namespace of a host; resolves when it is ready.
 *
 * @param setting is its first argument, as JSON.
 * @param args come after it, and are for those who look at its command line.
 */
export async function startService<M extends Methods>(
  host: Host,
  file: string,
  setting: unknown,
  ...args: readonly string[]
): Promise<Service<M>> {
  const inNetwork = ['--target', String(host.pid), '--net', '--']
  const child = startChild<Request>('nsenter', [
    ...inNetwork,
    process.execPath,
    file,
    JSON.stringify(setting),
    ...args,
  ])
  const names = await child.ask<string[]>({ kind: 'names' })
  const methods = names.map((name) => {
    const call = async (...args: unknown[]) => child.ask({ kind: 'call', name, args })
    return [name, call] as const
  })
  return { ...Object.fromEntries(methods), pid: child.pid, close: child.close } as Service<M>
}

/** What such a process was started with. */
export function readSetting(): unknown {
  return JSON.parse(process.argv[2] ?? '{}')
}

/** Answers calls of the process that started this one, and ends with it. */
export function serveMethods(methods: Methods, tidyUp?: () => Promise<void>): void {
  serveRequests(async (asked) => {
    const request = asked as Request
    if (request.kind === 'names') return Object.keys(methods)
    const method = methods[request.name] as ((...args: readonly unknown[]) => unknown) | undefined
    if (method === undefined) throw new Error(`no method is called ${request.name}`)
    return method(...request.args)
  }, tidyUp)
}
