import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { InvalidArgumentError, Option } from 'commander'
import { validate as isCron } from 'node-cron'
import { defaultUnitFolder } from '../host/boot-unit.ts'
import type { Labels } from '../ruleset/select.ts'
import { messageOf } from '../errors.ts'
import { defaultLockPath } from '../host/lock.ts'
import { defaultStateFolder } from '../host/state-folder.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Address } from '../telemetry/serve-pages.ts'
import { UsageError } from './usage-error.ts'

/** An option that can also be given in the environment. */
export function option(flags: string, variable: string, description: string): Option {
  return new Option(flags, description).env(`NODE_FIREWALL_${variable}`)
}

/** A switch: `--flag`, or `true` in the environment. */
export function flag(flags: string, variable: string, description: string): Option {
  // commander takes any value of the environment, "false" included, for "given".
  const value = process.env[`NODE_FIREWALL_${variable}`]
  const switched = new Option(flags, description)
  return value === undefined ? switched : switched.default(parseSwitch(variable, value))
}

export function rulesOption(): Option {
  return option('--rules <dir>', 'RULES', 'folder of Ruleset files').default('/etc/node-firewall/rules')
}

export function watchConfigMapsOption(): Option {
  return option(
    '--watch-configmaps <names>',
    'CONFIGMAPS',
    'ConfigMaps mounted as the rules, to be watched through the API too, separated by commas, or off',
  )
    .default([], 'off')
    .argParser((text) => {
      const names = text === 'off' ? [] : text.split(',').filter(Boolean)
      if (names.every((name) => /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name))) return names
      throw new InvalidArgumentError('expected names of ConfigMaps, separated by commas, or off')
    })
}

export function targetPidOption(): Option {
  return option(
    '--target-pid <pid>',
    'TARGET_PID',
    'process whose network namespace is filtered, or self: the one that this program runs in',
  )
    .default(1)
    .argParser((text) => {
      if (text === 'self') return text
      if (/^[1-9][0-9]{0,9}$/.test(text)) return Number(text)
      throw new InvalidArgumentError('expected the number of a process, or self')
    })
}

/** Of commands that can do without a node. */
export function liveOption(): Option {
  const { flags, parseArg } = targetPidOption()
  const option = new Option(flags, 'read the facts of this node, by a process of it: 1 on the node')
  return parseArg === undefined ? option : option.argParser(parseArg)
}

export function nodeOption(): Option {
  return option('--node <name>', 'NODE', 'name of the Node that this is')
}

export function namespaceOption(): Option {
  return option('--namespace <name>', 'NAMESPACE', 'namespace of the agents and their Service').default(
    'node-firewall',
  )
}

export function podOption(): Option {
  return option('--pod <name>', 'POD', 'name of the pod of this agent: its log is how the kubelet is probed')
}

export function lockFileOption(): Option {
  return option(
    '--lock-file <file>',
    'LOCK_FILE',
    'file on the host that lets one agent act at a time, or off',
  ).default(defaultLockPath)
}

export function confirmDeadlineOption(): Option {
  return option(
    '--confirm-deadline <seconds>',
    'CONFIRM_DEADLINE',
    'a change that is not confirmed by then is rolled back',
  )
    .default(30)
    .argParser(parseSeconds)
}

export function commandTimeoutOption(): Option {
  return option(
    '--command-timeout <seconds>',
    'COMMAND_TIMEOUT',
    'iptables, ipset, ip or nft that takes longer hangs, and is killed',
  )
    .default(30)
    .argParser(parseSeconds)
}

export function podCidrsOption(): Option {
  return option(
    '--pod-cidrs <cidrs>',
    'POD_CIDRS',
    'networks of pods, beside those of the Node, separated by commas',
  )
    .default([], 'none')
    .argParser((text) => {
      try {
        const cidrs = text.split(',').filter(Boolean).map(parseCidr)
        if (cidrs.every(({ prefix }) => prefix > 0)) return cidrs
      } catch (error) {
        throw new InvalidArgumentError(messageOf(error))
      }
      throw new InvalidArgumentError('expected networks of pods, found one that holds every address')
    })
}

export function standaloneOption(): Option {
  return flag(
    '--standalone',
    'STANDALONE',
    'no cluster: the labels are those of the host, the status goes to a file',
  )
}

export function statusFileOption(): Option {
  return option('--status-file <file>', 'STATUS_FILE', 'write the status to this file too')
}

export function stateDirOption(): Option {
  return option('--state-dir <dir>', 'STATE_DIR', 'folder of what has to outlive the agent').default(
    defaultStateFolder,
  )
}

export function unitDirOption(): Option {
  return option('--unit-dir <dir>', 'UNIT_DIR', 'folder of the systemd units of the host').default(
    defaultUnitFolder,
  )
}

export function backendOption(): Option {
  return option('--backend <backend>', 'BACKEND', 'packet filter of the kernel to use')
    .choices(['auto', 'nft', 'legacy'])
    .default('auto')
}

export function logTargetOption(): Option {
  return option(
    '--log-target <target>',
    'LOG_TARGET',
    'where rules that log send packets: to the agent by NFLOG, or to the log of the kernel',
  )
    .choices(['auto', 'nflog', 'kernel'])
    .default('auto')
}

export function cronOption(name: string, variable: string, description: string): Option {
  return option(`--${name} <cron>`, variable, description).argParser((text) => {
    if (!isCron(text)) throw new InvalidArgumentError('expected a cron expression, such as "*/30 * * * * *"')
    return text
  })
}

export function healthOption(): Option {
  return option('--health-address <host:port>', 'HEALTH_ADDRESS', 'where probes are answered, or off')
    .default({ host: '127.0.0.1', port: 10_268 }, '127.0.0.1:10268')
    .argParser(parseAddress)
}

export function metricsOption(): Option {
  return option(
    '--metrics-address <host:port>',
    'METRICS_ADDRESS',
    'where Prometheus asks for /metrics, or off (default: beside the probes, if these are on loopback)',
  ).argParser(parseAddress)
}

export function metricsClientsOption(): Option {
  return option(
    '--metrics-clients <networks>',
    'METRICS_CLIENTS',
    'who may ask for metrics beside the node itself: networks, private or any, separated by commas',
  )
    .default(namedNetworks('private'), 'private')
    .argParser((text) => {
      try {
        return text.split(',').filter(Boolean).flatMap(namedNetworks)
      } catch (error) {
        throw new InvalidArgumentError(messageOf(error))
      }
    })
}

function namedNetworks(name: string): Cidr[] {
  if (name === 'private' || name === 'any') return builtInSets[name].map(parseCidr)
  return [parseCidr(name)]
}

function parseAddress(text: string): Address | 'off' {
  if (text === 'off') return text
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined || !(Number(port) <= 65_535))
    throw new InvalidArgumentError('expected HOST:PORT or off')
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}

export function interfacesOption(): Option {
  return new Option('--external <names>', 'what "external: auto" stands for, such as eth0,eth1').argParser(
    (text) => text.split(','),
  )
}

/** Each 30 s, at a second that follows from the node's name: thousands of nodes shall not act as one. */
export function defaultVerifySchedule(node: string): string {
  const second = hashOf(node) % 30
  return `${second},${second + 30} * * * * *`
}

/** Each 10 minutes, at a minute and second that follow from the node's name. */
export function defaultReapplySchedule(node: string): string {
  const hash = hashOf(`reapply ${node}`)
  const minutes = Array.from({ length: 6 }, (_, index) => (hash % 10) + index * 10)
  return `${Math.floor(hash / 10) % 60} ${minutes.join(',')} * * * *`
}

/** The labels a kubelet would give this host, so that a nodeSelector can name it. */
export function hostLabels(name: string = hostname()): Labels {
  return { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': architecture() }
}

function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE()
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}

function parseSeconds(text: string): number {
  const seconds = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0
  if (seconds < 1 || seconds > 3_600) throw new InvalidArgumentError('expected seconds, from 1 to 3600')
  return seconds
}

function parseSwitch(variable: string, value: string): boolean {
  if (value === '' || value === 'false') return false
  if (value === 'true') return true
  throw new UsageError(`NODE_FIREWALL_${variable} is "${value}", expected true or false`)
}
