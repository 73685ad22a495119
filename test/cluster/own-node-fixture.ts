import { setImmediate } from 'node:timers/promises'
import { onTestFinished, vi } from 'vitest'
import { findAccess } from '../../agent/cluster/access.ts'
import type { ApiError } from '../../agent/cluster/api-error.ts'
import type { Clock } from '../../agent/cluster/clock.ts'
import { connectOwnNode } from '../../agent/cluster/own-node.ts'
import type { NodeMeta, OwnNode, OwnNodeOptions } from '../../agent/cluster/own-node.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'
import type { Options } from './cluster-server.ts'

export const NODE = 'worker-1'

/** A server with one Node, until the end of the test. */
export async function startServer(options: Options = {}): Promise<ApiServer> {
  const server = await startApiServer({ node: NODE, ...options })
  onTestFinished(() => server.close())
  server.createNode(NODE, { pool: 'web' }, { 'example.org/owner': 'infra' })
  return server
}

/** The client, as it would run in a pod. */
export function connect(server: ApiServer, options: Partial<OwnNodeOptions> = {}): OwnNode {
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  const getAccess = findAccess(env, server.serviceAccountDir)
  return connectOwnNode({ nodeName: NODE, getAccess, clock: hurriedClock().clock, ...options })
}

export type Watched = {
  readonly nodes: NodeMeta[]
  readonly errors: ApiError[]
  readonly stop: () => Promise<void>
}

/** Watches until the end of the test, or until `stop`. */
export function watch(ownNode: OwnNode): Watched {
  const controller = new AbortController()
  const nodes: NodeMeta[] = []
  const errors: ApiError[] = []
  const handlers = {
    onNode: (node: NodeMeta) => nodes.push(node),
    onError: (error: ApiError) => errors.push(error),
  }
  const ended = ownNode.watch(handlers, controller.signal)
  const stop = async () => {
    controller.abort()
    await ended
  }
  onTestFinished(stop)
  return { nodes, errors, stop }
}

/** A clock whose waits take no time; it notes how long they would have been. */
export function hurriedClock(): { clock: Clock; waits: number[] } {
  const waits: number[] = []
  const wait = async (ms: number) => {
    waits.push(ms)
    await setImmediate()
  }
  return { clock: { now: () => 0, date: () => 0, random: () => 0, wait }, waits }
}

/** A clock whose waits end when the test says so. */
export function steppedClock(): { clock: Clock; waits: number[]; step: () => void } {
  const waits: number[] = []
  let wake: (() => void) | undefined
  const wait = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      waits.push(ms)
      wake = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  return { clock: { now: () => 0, date: () => 0, random: () => 0, wait }, waits, step: () => wake?.() }
}

/** Waits for expectations to hold. */
export async function until(check: () => void): Promise<void> {
  await vi.waitFor(check, { interval: 5, timeout: 20_000 })
}
