import { hostname } from 'node:os'
import type { Command } from 'commander'
import { findAccess } from '../cluster/access.ts'
import { createClusterDns } from '../cluster/cluster-dns.ts'
import { watchClusterFacts } from '../cluster/cluster-facts.ts'
import { createClusterProbes } from '../cluster/cluster-probes.ts'
import { connectConfigMaps } from '../cluster/config-maps.ts'
import { createEvents } from '../cluster/events.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import { connectPeers } from '../cluster/peers.ts'
import { removeStartupTaint } from '../cluster/startup-taint.ts'
import { runAgent } from '../daemon/agent.ts'
import type { AgentOptions, ClusterSide, ProcessSignals } from '../daemon/agent-options.ts'
import { findClusterDns } from '../daemon/find-cluster-dns.ts'
import type { Cidr } from '../ruleset/address.ts'
import { logLevels } from '../telemetry/log.ts'
import type { Address } from '../telemetry/serve-pages.ts'
import { clientFor, nodeOf } from './node-side.ts'
import type { NodeFlags } from './node-side.ts'
import * as own from './agent-flags.ts'
import * as options from './options.ts'

const standaloneStatusFile = '/run/node-firewall/status.json'

/** Adds the command that runs as the DaemonSet's container, and as a service of a host in no cluster. */
export function addAgentCommand(
  program: Command,
  signals: ProcessSignals,
  finish: (code: number) => void,
): void {
  program
    .command('agent')
    .description('keep the rules of a folder in force on this node, until stopped; the rules stay then')
    .addOption(options.rulesOption())
    .addOption(own.watchConfigMapsOption())
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.standaloneOption())
    .addOption(options.namespaceOption())
    .addOption(own.podOption())
    .addOption(own.podCidrsOption())
    .addOption(options.statusFileOption())
    .addOption(options.backendOption())
    .addOption(own.logTargetOption())
    .addOption(own.cronOption('verify-schedule', 'VERIFY_SCHEDULE', 'when to verify (default: each 30 s)'))
    .addOption(
      own.cronOption('reapply-schedule', 'REAPPLY_SCHEDULE', 'when to rewrite (default: each 10 min)'),
    )
    .addOption(options.stateDirOption())
    .addOption(options.lockFileOption())
    .addOption(own.confirmDeadlineOption())
    .addOption(own.commandTimeoutOption())
    .addOption(
      options.flag('--boot-restore', 'BOOT_RESTORE', 'have the host restore confirmed rules when it starts'),
    )
    .addOption(options.unitDirOption())
    .addOption(
      options.flag(
        '--startup-taint',
        'STARTUP_TAINT',
        'take the taint of a new Node when its rules are confirmed',
      ),
    )
    .addOption(options.healthOption())
    .addOption(own.metricsOption())
    .addOption(own.metricsClientsOption())
    .addOption(options.flag('--once', 'ONCE', 'one pass, then exit: 0 if the rules are in force, else 1'))
    .addOption(options.flag('--dry-run', 'DRY_RUN', 'write nothing, only tell what differs'))
    .addOption(
      options
        .option('--log-level <level>', 'LOG_LEVEL', 'least level to log')
        .choices(logLevels)
        .default('info'),
    )
    .action(async (flags: AgentFlags) => finish(await runAgent(agentOptions(flags), signals)))
}

type AgentFlags = NodeFlags &
  Pick<AgentOptions, 'rules' | 'targetPid' | 'backend' | 'logTarget' | 'logLevel' | 'metricsClients'> & {
    readonly lockFile: string
    readonly namespace: string
    readonly watchConfigmaps: readonly string[]
    readonly podCidrs: readonly Cidr[]
    readonly pod?: string
    readonly stateDir: string
    readonly confirmDeadline: number
    readonly commandTimeout: number
    readonly bootRestore?: boolean
    readonly unitDir: string
    readonly startupTaint?: boolean
  } & Partial<Pick<AgentOptions, 'verifySchedule' | 'reapplySchedule' | 'statusFile' | 'once' | 'dryRun'>> & {
    readonly healthAddress: Address | 'off'
    readonly metricsAddress?: Address | 'off'
  }

function agentOptions(flags: AgentFlags): AgentOptions {
  const name = flags.node ?? hostname()
  const place = nodeOf(flags)
  return {
    ...flags,
    verifySchedule: flags.verifySchedule ?? own.defaultVerifySchedule(name),
    reapplySchedule: flags.reapplySchedule ?? own.defaultReapplySchedule(name),
    statusFile: flags.statusFile ?? (flags.standalone === true ? standaloneStatusFile : undefined),
    stateDir: options.unlessOff(flags.stateDir),
    lockFile: options.unlessOff(flags.lockFile),
    pod: flags.pod,
    bootUnitDir: flags.bootRestore === true ? flags.unitDir : undefined,
    confirmDeadlineMs: flags.confirmDeadline * 1_000,
    commandTimeoutMs: flags.commandTimeout * 1_000,
    healthAddress: flags.healthAddress === 'off' ? undefined : flags.healthAddress,
    metricsAddress: flags.metricsAddress === 'off' ? undefined : (flags.metricsAddress ?? 'default'),
    once: flags.once ?? false,
    dryRun: flags.dryRun ?? false,
    place: 'labels' in place ? place : clusterSide(name, place, flags),
  }
}

function clusterSide(nodeName: string, node: OwnNode, flags: AgentFlags): ClusterSide {
  const { namespace, podCidrs, pod, watchConfigmaps: names } = flags
  const getAccess = findAccess(process.env)
  const options = { nodeName, getAccess, namespace, podCidrs }
  return {
    nodeName,
    node,
    peers: connectPeers(options),
    configMaps: names.length === 0 ? undefined : connectConfigMaps({ ...options, names }),
    watch: async (handlers, signal) => watchClusterFacts(options, handlers, signal),
    probes: () => createClusterProbes({ ...options, podName: pod }),
    findDns: findClusterDns(flags.targetPid, createClusterDns(options)),
    server: async () => (await getAccess()).server,
    removeTaint:
      flags.startupTaint === true
        ? async (signal) => removeStartupTaint(nodeName, clientFor(), signal)
        : undefined,
    openEvents: (onError, onAttempt = () => {}) =>
      createEvents({ ...options, podName: pod, onError, onAttempt }),
  }
}
