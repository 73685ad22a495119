import { hostname } from 'node:os'
import { Command, CommanderError, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { findAccess } from '../cluster/access.ts'
import { createClusterDns } from '../cluster/cluster-dns.ts'
import { createClusterProbes } from '../cluster/cluster-probes.ts'
import { connectConfigMaps } from '../cluster/config-maps.ts'
import { createEvents } from '../cluster/events.ts'
import { connectClient } from '../cluster/api-client.ts'
import type { ApiClient } from '../cluster/api-client.ts'
import { watchClusterFacts } from '../cluster/cluster-facts.ts'
import { connectOwnNode } from '../cluster/own-node.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import { connectPeers } from '../cluster/peers.ts'
import { removeStartupTaint } from '../cluster/startup-taint.ts'
import { isExpected } from '../errors.ts'
import type { TargetPid } from '../host/exec.ts'
import type { Cidr } from '../ruleset/address.ts'
import type { Labels } from '../ruleset/select.ts'
import { logLevels } from '../telemetry/log.ts'
import type { Address } from '../telemetry/serve-pages.ts'
import { runAgent } from '../daemon/agent.ts'
import { findClusterDns } from '../daemon/find-cluster-dns.ts'
import type { AgentOptions, ClusterSide, ProcessSignals } from '../daemon/agent-options.ts'
import { clean } from './clean.ts'
import type { CleanNode } from './clean.ts'
import type { ExplainOptions } from './explain.ts'
import type { ImportFlags } from './import.ts'
import { addFleetCommands } from '../fleet/fleet-commands.ts'
import { lint } from './lint.ts'
import * as options from './options.ts'
import { render } from './render.ts'
import type { RenderOptions } from './render.ts'
import { uninstallWait } from '../fleet/uninstall-wait.ts'
import { UsageError } from './usage-error.ts'
import { verify } from './verify.ts'
import type { VerifyOptions } from './verify.ts'

const failureCode = 1
const usageCode = 2
const standaloneStatusFile = '/run/node-firewall/status.json'

/** Runs the command line; returns the exit code, 2 for what it does not understand. */
export async function runProgram(argv: readonly string[], signals: ProcessSignals): Promise<number> {
  let code = 0
  try {
    const program = createProgram(signals, (result) => (code = result))
    await program.parseAsync(argv)
    return code
  } catch (error) {
    // commander has printed what it has to say
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageCode
    if (!(error instanceof UsageError) && !isExpected(error)) throw error
    console.error(`error: ${error.message}`)
    return error instanceof UsageError ? usageCode : failureCode
  }
}

function createProgram(signals: ProcessSignals, finish: (code: number) => void): Command {
  const program = new Command('node-firewall')
    .description('The host firewall of Kubernetes nodes: rules from a ConfigMap, verified in the kernel.')
    .version(packageJson.version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command')
    .showHelpAfterError('(node-firewall help [command] explains)')
    .exitOverride()

  program
    .command('agent')
    .description('keep the rules of a folder in force on this node, until stopped; the rules stay then')
    .addOption(options.rulesOption())
    .addOption(options.watchConfigMapsOption())
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.standaloneOption())
    .addOption(options.namespaceOption())
    .addOption(options.podOption())
    .addOption(options.podCidrsOption())
    .addOption(options.statusFileOption())
    .addOption(options.backendOption())
    .addOption(options.logTargetOption())
    .addOption(
      options.cronOption('verify-schedule', 'VERIFY_SCHEDULE', 'when to verify (default: each 30 s)'),
    )
    .addOption(
      options.cronOption('reapply-schedule', 'REAPPLY_SCHEDULE', 'when to rewrite (default: each 10 min)'),
    )
    .addOption(options.stateDirOption())
    .addOption(options.lockFileOption())
    .addOption(options.confirmDeadlineOption())
    .addOption(options.commandTimeoutOption())
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
    .addOption(options.metricsOption())
    .addOption(options.metricsClientsOption())
    .addOption(options.flag('--once', 'ONCE', 'one pass, then exit: 0 if the rules are in force, else 1'))
    .addOption(options.flag('--dry-run', 'DRY_RUN', 'write nothing, only tell what differs'))
    .addOption(
      options
        .option('--log-level <level>', 'LOG_LEVEL', 'least level to log')
        .choices(logLevels)
        .default('info'),
    )
    .action(async (flags: AgentFlags) => finish(await runAgent(agentOptions(flags), signals)))

  program
    .command('lint')
    .description('check Ruleset files, or all in a folder; exit code 1 if there is any error')
    .argument('<path...>')
    .option('--json', 'print the problems as JSON', false)
    .action(async (paths: string[], flags: { json: boolean }) => finish(await lint(paths, flags)))

  program
    .command('render')
    .description('print what would be restored on a node')
    .argument('<path...>')
    .option('--node <file>', 'the Node, as "kubectl get node NAME -o yaml" prints it')
    .addOption(new Option('--family <family>', 'only this one').choices(['ipv4', 'ipv6']))
    .addOption(options.interfacesOption())
    .addOption(options.liveOption())
    .addOption(options.stateDirOption())
    .option('--set <name=addresses>', 'what a set of the cluster holds: nodes, apiServers, podCIDRs', collect)
    .action(async (paths: string[], flags: RenderOptions) => finish(await render(paths, flags)))

  program
    .command('explain')
    .description('say what becomes of a connection, and why; or who reaches what')
    .argument('<path...>')
    .option('--node <file>', 'the Node, as "kubectl get node NAME -o yaml" prints it')
    .addOption(options.interfacesOption())
    .addOption(options.liveOption())
    .addOption(options.stateDirOption())
    .option('--set <name=addresses>', 'what a set of the cluster holds: nodes, apiServers, podCIDRs', collect)
    .option('--from <address>', 'who opens it')
    .option('--to <address>', 'whom it is addressed to')
    .option('--proto <protocol>', 'name or number (default: tcp)')
    .option('--port <port>', 'the port that the client used')
    .option('--source-port <port>', 'the port it comes from')
    .option('--icmp-type <type>', 'name, number or type/code')
    .option('--in <interface>', 'where it comes in (default: the first external one)')
    .option('--out <interface>', 'where it goes out')
    .addOption(
      new Option('--via <way>', 'answered by the node itself, or translated').choices(['direct', 'nodePort']),
    )
    .option('--egress', 'opened by the node, or by a pod with --endpoint pods')
    .addOption(new Option('--endpoint <kind>', 'whose connection it is').choices(['node', 'pods']))
    .option('--matrix', 'who reaches which port of the node')
    .addOption(
      new Option('--expect <action>', 'fail unless this is the verdict').choices([
        'accept',
        'drop',
        'reject',
      ]),
    )
    .option('--json', 'print JSON')
    .action(async (paths: string[], flags: ExplainOptions) => {
      const { explain } = await import('./explain.ts')
      finish(await explain(paths, flags))
    })

  program
    .command('import')
    .description('turn an existing firewall into a Ruleset; tells each line that cannot be carried over')
    .argument('<file>')
    .addOption(
      new Option('--format <format>', 'what the file is')
        .choices(['auto', 'script', 'iptables-save', 'ufw', 'calico'])
        .default('auto'),
    )
    .option('--name <name>', 'name of the ruleset')
    .addOption(options.interfacesOption())
    .action(async (file: string, flags: ImportFlags) => {
      const { runImport } = await import('./import.ts')
      finish(await runImport(file, flags))
    })

  program
    .command('verify')
    .description('compare the kernel with the rules of a folder; exit code 0 in sync, 3 drift, 4 unknown')
    .addOption(options.rulesOption())
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.standaloneOption())
    .addOption(options.backendOption())
    .addOption(options.stateDirOption())
    .action(async (flags: NodeFlags & Omit<VerifyOptions, 'labels'>) => {
      const node = nodeOf(flags)
      const labels = async () => ('labels' in node ? node.labels : (await node.read(signals.stop)).labels)
      finish(await verify({ ...flags, labels }))
    })

  addFleetCommands(program, signals.stop, finish)

  program
    .command('clean')
    .description('remove all that is ours, on both backends and families, and show that it is gone')
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.statusFileOption())
    .addOption(options.stateDirOption())
    .addOption(options.unitDirOption())
    .addOption(options.lockFileOption())
    .action(async ({ node, ...flags }: CleanFlags) => {
      const ofNode = node === undefined ? undefined : cleanNode(node, signals.stop)
      const { stateDir, lockFile } = flags
      const kept = { stateDir: unlessOff(stateDir), lockFile: unlessOff(lockFile) }
      finish(await clean({ ...flags, ...kept, node: ofNode, stop: signals.stop }))
    })

  program
    .command('uninstall-wait', { hidden: true })
    .description('wait until every node is clean, then let the namespace go, and all that is named with it')
    .addOption(options.namespaceOption())
    .option('--with <path>', 'an object outside of the namespace that goes with it', collect, [])
    .action(async (flags: { namespace: string; with: readonly string[] }) => {
      finish(await uninstallWait({ ...flags, client: clientFor(), signal: signals.stop }))
    })

  program
    .command('version')
    .description('print the version')
    .action(() => console.log(packageJson.version))
  return program
}

function unlessOff(path: string): string | undefined {
  return path === 'off' ? undefined : path
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

type NodeFlags = { readonly node?: string; readonly standalone?: boolean }

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
    verifySchedule: flags.verifySchedule ?? options.defaultVerifySchedule(name),
    reapplySchedule: flags.reapplySchedule ?? options.defaultReapplySchedule(name),
    statusFile: flags.statusFile ?? (flags.standalone === true ? standaloneStatusFile : undefined),
    stateDir: unlessOff(flags.stateDir),
    lockFile: unlessOff(flags.lockFile),
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

function nodeOf({ node, standalone }: NodeFlags): OwnNode | { readonly labels: Labels } {
  if (standalone === true) return { labels: options.hostLabels(node) }
  if (node !== undefined) return connect(node)
  throw new UsageError(
    'give --node NAME, the name of the Node that this is, or --standalone for a host in no cluster',
  )
}

type CleanFlags = NodeFlags & {
  readonly targetPid: TargetPid
  readonly statusFile?: string
  readonly stateDir: string
  readonly unitDir: string
  readonly lockFile: string
}

function cleanNode(name: string, signal: AbortSignal): CleanNode {
  return {
    patchAnnotations: connect(name).patchAnnotations,
    removeTaint: async () => removeStartupTaint(name, clientFor(), signal),
  }
}

function clientFor(): ApiClient {
  return connectClient({ getAccess: findAccess(process.env) })
}

function connect(nodeName: string): OwnNode {
  return connectOwnNode({ nodeName, getAccess: findAccess(process.env) })
}
