import { messageOf } from '../errors.ts'
import { parseServer } from '../ruleset/endpoint.ts'
import { askDns } from './ask-dns.ts'
import type { Probe } from './probe.ts'
import { ProbeError } from './probe-error.ts'
import { simpleProbe } from './simple-probe.ts'

const timeoutMs = 2_000

/**
 * The cluster's DNS answers at one of these addresses (`10.96.0.10`, or with a port). What it answers does not matter:
 * the domain of this cluster may be another one, and SERVFAIL has come all the way as well.
 */
export function clusterDnsProbe(addresses: readonly string[]): Probe {
  const question = { query: 'kubernetes.default.svc.cluster.local', type: 'A' as const, timeoutMs }
  const servers = addresses.map(parseServer)
  return simpleProbe('cluster dns', timeoutMs, async (signal) => {
    if (servers.length === 0) throw new ProbeError('asking the cluster DNS: none of its addresses is known')
    const asked = servers.map(async (server) => askDns({ ...question, server }, signal))
    await Promise.any(asked).catch(async () => {
      const settled = await Promise.allSettled(asked)
      const reasons = settled.flatMap((one) => (one.status === 'rejected' ? messageOf(one.reason) : []))
      throw new ProbeError(reasons.join('; '))
    })
  })
}
