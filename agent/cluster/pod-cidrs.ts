import * as z from 'zod'
import type { Cidr } from '../ruleset/address.ts'
import type { ApiClient } from './api-client.ts'
import type { ApiError } from './api-error.ts'
import type { Clock } from './clock.ts'
import { readCidrs } from './endpoint-slice.ts'
import { repeat } from './repeat.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

export type PodCidrsOptions = {
  readonly nodeName: string
  /** Called with none where the cluster gives its nodes none. */
  readonly onCidrs: (cidrs: readonly Cidr[]) => void
  readonly onError: (error: ApiError) => void
}

/** A Node gets its CIDRs a moment after it was made, where it gets any: so none is asked for again, after so many ms. */
const asksAgainAfterMs = [10_000, 60_000, 300_000]

/** Reads the pod networks of a Node. They never change, so this ends once they are known. */
export async function readPodCidrs(
  client: ApiClient,
  { nodeName, onCidrs, onError }: PodCidrsOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`
  const request: ApiRequest = { method: 'GET', path, query: { resourceVersion: '0' } }
  const waits = [...asksAgainAfterMs]
  const attempt = async () => {
    const { spec } = parse(nodeBody, await client.json(request, signal), request)
    const cidrs = readCidrs(spec?.podCIDRs ?? [])
    onCidrs(cidrs)
    return cidrs.length > 0 ? undefined : waits.shift()
  }
  await repeat(attempt, { clock, onError }, signal)
}

const nodeBody = z.object({ spec: z.object({ podCIDRs: z.array(z.string()).nullish() }).nullish() })
