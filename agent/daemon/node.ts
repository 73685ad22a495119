import { readFile } from 'node:fs/promises'
import { createDataplaneReader, readDataplane } from '../host/dataplane.ts'
import { createExec, defaultTimeoutMs } from '../host/exec.ts'
import { createExecTogether } from '../host/exec-together.ts'
import type { Exec, ExecOptions, TargetPid } from '../host/exec.ts'
import { readListeningPorts } from '../host/listening.ts'
import { readResolvers } from '../host/resolvers.ts'
import { createStarted, isInInitialPidNamespace } from '../host/started.ts'
import type { Started } from '../host/started.ts'
import { findServicePorts, serviceProcesses } from '../host/service-port.ts'
import type { NodeFacts, ServicePorts } from '../policy/policy.ts'
import { createLegacyTables, readFamilies, readNodeFacts } from '../host/network.ts'
import { detectBackend } from '../netfilter/backend.ts'
import type { Backend } from '../netfilter/backend.ts'
import { readRemembered } from './kernel-sets.ts'
import { parseProtocols } from '../netfilter/protocol-names.ts'
import { createIpsets } from '../netfilter/ipsets.ts'
import type { Ipsets } from '../netfilter/ipsets.ts'
import { createTables } from '../netfilter/tables.ts'
import { tidyTables } from '../netfilter/tidy-tables.ts'
import type { LegacyTables, Tables } from '../netfilter/tables.ts'
import type { Effects } from '../pass.ts'

/** The network of a node as the agent and the commands see it. */
export type NodeNetwork = Pick<
  Effects,
  'readFacts' | 'readDataplane' | 'readFamilies' | 'detectBackend' | 'tables' | 'ipsets'
> & {
  readonly exec: Exec
  readonly legacyTables: LegacyTables
  /** The same tables without care for what iptables-nft makes and leaves. */
  readonly plainTables: Tables
  /** What processes that were started from here have changed is no change from outside. */
  readonly authorOf: Started['authorOf']
}

/**
 * Opens the network namespace of a process; `backend` overrides what detection would find. A command that takes longer
 * than `timeoutMs` hangs, and is killed; `onFailure` hears of programs that failed.
 */
export async function openNetwork(
  targetPid: TargetPid,
  backend: Backend | 'auto',
  timeoutMs = defaultTimeoutMs,
  onFailure?: ExecOptions['onFailure'],
): Promise<NodeNetwork> {
  const started = createStarted(await isInInitialPidNamespace(), () => performance.now())
  const options = { timeoutMs, onStart: started.add, ...(onFailure === undefined ? {} : { onFailure }) }
  const exec = createExec(targetPid, options)
  const read = createExecTogether(targetPid, exec, options)
  const legacyTables = createLegacyTables(targetPid)
  const ipsets = createIpsets(exec, read)
  const plainTables: Tables = createTables(exec, legacyTables, parseProtocols(await readProtocols()), read)
  return {
    exec,
    legacyTables,
    tables: tidyTables(plainTables, exec),
    plainTables,
    ipsets,
    authorOf: started.authorOf,
    readFacts: createFactsReader(exec, ipsets, targetPid),
    readDataplane: createDataplaneReader(
      async (external) => readDataplane(exec, targetPid, external),
      () => performance.now(),
    ),
    readFamilies: async () => readFamilies(targetPid),
    detectBackend: async (current) =>
      backend === 'auto' ? detectBackend(exec, legacyTables, current) : backend,
  }
}

/**
 * Ports of services are looked for among all processes, so only now and then; their absence is no failure. Tunnels that
 * cannot be read are taken to be those that were there. The files of this process may not be those of the host, or no
 * longer: whom that asks for names is not taken from them.
 */
function createFactsReader(exec: Exec, ipsets: Ipsets, targetPid: TargetPid): Effects['readFacts'] {
  let ports: ServicePorts = {}
  let lastTunnels: NodeFacts['tunnels']
  let remembered: NodeFacts['remembered']
  return async (thorough) => {
    const processes = thorough ? serviceProcesses : []
    const listening = readListeningPorts(targetPid, { processes }).catch(() => [])
    const [facts, resolvers, sockets] = await Promise.all([
      readNodeFacts(exec, listening),
      targetPid === 'self' ? undefined : readResolvers(targetPid),
      listening,
    ])
    if (thorough) ports = findServicePorts(sockets)
    const { tunnels = lastTunnels } = facts
    lastTunnels = tunnels
    remembered ??= await readRemembered(ipsets, facts.addresses)
    return {
      ...facts,
      ports,
      remembered,
      ...(tunnels === undefined ? {} : { tunnels }),
      ...(resolvers === undefined ? {} : { resolvers }),
      ...(targetPid === 'self' ? { onlyNetwork: true } : {}),
    }
  }
}

/** The file iptables takes names from, if the image has it. */
async function readProtocols(): Promise<string> {
  return readFile('/etc/protocols', 'utf8').catch(() => '')
}
