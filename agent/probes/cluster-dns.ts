import { messageOf } from '../errors.ts'
import { parseServer } from '../ruleset/endpoint.ts'
import { askDns } from './ask-dns.ts'
import { attemptWithin } from './attempt.ts'
import type { Probe } from './probe.ts'
import { ProbeError } from './probe-error.ts'

const timeoutMs = 2_000

/**
 * The cluster's DNS answers (at `10.96.0.10`, or with a port). What it answers does not matter: the domain of this
 * cluster may be another one, and SERVFAIL has come all the way as well. Before a change one of its addresses is enough:
 * a node may have no way to those of the other family. After it, all that answered last before one have to.
 *
 * @param find tells the addresses, undefined where there are none, and rejects while they cannot be had; an agent that
 *   goes on with the trial of another asks for them only then. It does not know which of them answered, and takes any.
 * @returns makes a probe; all that it makes share what is known of the time before.
 */
export function clusterDnsProbes(
  find: (signal: AbortSignal) => Promise<readonly string[] | undefined>,
): () => Probe {
  let answered: readonly string[] | undefined
  const ask = async (signal: AbortSignal): Promise<readonly string[]> => {
    const servers = (await find(signal)) ?? []
    if (servers.length === 0) throw new ProbeError('asking the cluster DNS: none of its addresses is known')
    const failures: string[] = []
    const asked = servers.map(async (server) =>
      askDns({ ...question, server: parseServer(server) }, signal).then(
        () => [server],
        (error: unknown) => {
          failures.push(messageOf(error))
          return []
        },
      ),
    )
    const working = (await Promise.all(asked)).flat()
    const isEnough = answered?.every((server) => working.includes(server)) ?? working.length > 0
    if (!isEnough) throw new ProbeError(failures.join('; '))
    return working
  }
  return () => ({
    name: 'cluster dns',
    before: async (signal) =>
      attemptWithin(timeoutMs, signal, async (end) => {
        answered = await ask(end)
      }),
    after: async (signal) => attemptWithin(timeoutMs, signal, async (end) => void (await ask(end))),
  })
}

const question = { query: 'kubernetes.default.svc.cluster.local', type: 'A' as const, timeoutMs }
