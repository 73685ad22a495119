import * as z from 'zod'
import { OutsideError } from '../errors.ts'
import type { Probe } from '../probes/probe.ts'
import { connectClient } from './api-client.ts'
import { realClock } from './clock.ts'
import { inTime } from './in-time.ts'
import type { OwnNodeOptions } from './own-node.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/**
 * The kubelet reaches the API server: it renews the Lease of its Node, as a rule every 10 s, and a node whose Lease
 * is not renewed becomes NotReady.
 *
 * Before a change the renewal must be no older than the Lease is good for, by the clock that agent and kubelet share;
 * one in the future only says that this clock was set back. After a change no clock is asked: the Lease must be
 * renewed between two looks at it.
 */
export function leaseProbe(options: OwnNodeOptions): Probe {
  const { nodeName, clock = realClock } = options
  const client = connectClient(options)
  const request: ApiRequest = {
    method: 'GET',
    path: `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${encodeURIComponent(nodeName)}`,
  }
  const read = async (signal: AbortSignal) =>
    parse(leaseBody, await inTime(request, client.json(request, signal), signal), request).spec
  const failed = (why: string) => new OutsideError(`${describe(request)}: ${why}`)
  let first: string | undefined

  return {
    name: 'lease',
    async before(signal) {
      const { renewTime, leaseDurationSeconds } = await read(signal)
      const seconds = leaseDurationSeconds ?? 40
      const age = Math.round((clock.date() - Date.parse(renewTime)) / 1000)
      if (age > seconds)
        throw failed(`found a renewal of ${age} s ago, expected one of the last ${seconds} s`)
    },
    async after(signal) {
      for (let isFirst = true; ; isFirst = false) {
        const { renewTime, leaseDurationSeconds } = await read(signal)
        first ??= renewTime
        if (renewTime !== first) return
        const patience = isFirst ? untilRenewal(renewTime, leaseDurationSeconds ?? 40, clock.date()) : 0
        await clock.wait(Math.max(patience, pollMs) + (clock.random() * pollMs) / 2, signal)
        if (signal.aborted) throw failed(`not renewed since the change, the last time was ${first}`)
      }
    },
  }
}

/**
 * How many ms until the kubelet renews next: it does so four times while the Lease is good. Thousands of nodes may be
 * changed together, and each look costs the API server a handshake. A clock that was set costs no more than patience.
 */
function untilRenewal(renewTime: string, leaseSeconds: number, now: number): number {
  const everyMs = (leaseSeconds * 1000) / 4
  const due = Date.parse(renewTime) + everyMs - now
  return due > 0 && due <= everyMs ? due : 0
}

/** Between two looks lie 1 to 1.5 s, so that nodes which were changed together do not look together for long. */
const pollMs = 1000

const leaseBody = z.object({
  spec: z.object({
    renewTime: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'no time'),
    leaseDurationSeconds: z.number().nullish(),
  }),
})
