import { messageOf } from '../errors.ts'
import { parseServer } from '../ruleset/endpoint.ts'
import { askDns } from './ask-dns.ts'
import type { Probe } from './probe.ts'
import { ProbeError } from './probe-error.ts'
import { simpleProbe } from './simple-probe.ts'

const timeoutMs = 2_000

/**
 * The cluster's DNS answers at one of its addresses (`10.96.0.10`, or with a port). What it answers does not matter:
 * the domain of this cluster may be another one, and SERVFAIL has come all the way as well.
 *
 * @param find tells the addresses, undefined where there are none, and rejects while they cannot be had; an agent that
 *   goes on with the trial of another asks for them only then.
 */
export function clusterDnsProbe(
  find: (signal: AbortSignal) => Promise<readonly string[] | undefined>,
): Probe {
  const question = { query: 'kubernetes.default.svc.cluster.local', type: 'A' as const, timeoutMs }
  return simpleProbe('cluster dns', timeoutMs, async (signal) => {
    const servers = ((await find(signal)) ?? []).map(parseServer)
    if (servers.length === 0) throw new ProbeError('asking the cluster DNS: none of its addresses is known')
    const asked = servers.map(async (server) => askDns({ ...question, server }, signal))
    await Promise.any(asked).catch(async () => {
      const settled = await Promise.allSettled(asked)
      const reasons = settled.flatMap((one) => (one.status === 'rejected' ? messageOf(one.reason) : []))
      throw new ProbeError(reasons.join('; '))
    })
  })
}
