import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { ApiError } from '../../agent/cluster/api-error.ts'
import { createEvents } from '../../agent/cluster/events.ts'
import type { Events, EventsOptions, NodeEvent } from '../../agent/cluster/events.ts'
import type { ApiServer } from './api-server.ts'
import { NODE } from './own-node-fixture.ts'
import { POD, accessTo } from './probes-fixture.ts'

export const rolledBack: NodeEvent = {
  type: 'Warning',
  reason: 'RolledBack',
  message: 'the kubelet was not reached within 20 s',
}

/** Another event for each number. */
export function confirmed(number: number): NodeEvent {
  return { type: 'Normal', reason: 'Confirmed', message: `ruleset ${number} works` }
}

export type Telling = Events & {
  readonly errors: ApiError[]
  readonly waits: number[]
  /** What the server keeps, in the order of its creation. */
  readonly kept: () => readonly (readonly [message: unknown, count: unknown])[]
}

/** Events of the Node, by a clock that a wait moves on and that takes no time. */
export function tell(server: ApiServer, options: Partial<EventsOptions> = {}): Telling {
  const errors: ApiError[] = []
  const waits: number[] = []
  let now = Date.parse('2026-11-21T03:33:55.035Z')
  const wait = async (ms: number) => {
    waits.push(ms)
    now += ms
    await setImmediate()
  }
  const events = createEvents({
    ...accessTo(server),
    nodeName: NODE,
    podName: POD,
    clock: { now: () => now, date: () => now, random: () => 0, wait },
    onError: (error) => errors.push(error),
    ...options,
  })
  onTestFinished(() => events.flush(0))
  const kept = () =>
    server.objects
      .events()
      .toSorted((a, b) => sentAt(server, a.metadata.name) - sentAt(server, b.metadata.name))
      .map(({ message, count }) => [message, count] as const)
  return { ...events, errors, waits, kept }
}

/** The first request that was about it. */
function sentAt(server: ApiServer, name: string): number {
  return server.requests.findIndex(
    ({ path, body }) => path.endsWith(`/${name}`) || body.includes(`"${name}"`),
  )
}
