import { InvalidArgumentError, Option } from 'commander'
import { defaultUnitFolder } from '../host/boot-unit.ts'
import { defaultLockPath } from '../host/lock.ts'
import { defaultStateFolder } from '../host/state-folder.ts'
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

export function lockFileOption(): Option {
  return option(
    '--lock-file <file>',
    'LOCK_FILE',
    'file on the host that lets one agent act at a time, or off',
  ).default(defaultLockPath)
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

export function healthOption(): Option {
  return option('--health-address <host:port>', 'HEALTH_ADDRESS', 'where probes are answered, or off')
    .default({ host: '127.0.0.1', port: 10_268 }, '127.0.0.1:10268')
    .argParser(parseAddress)
}

/** Of an option that names where something is answered. */
export function parseAddress(text: string): Address | 'off' {
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

function parseSwitch(variable: string, value: string): boolean {
  if (value === '' || value === 'false') return false
  if (value === 'true') return true
  throw new UsageError(`NODE_FIREWALL_${variable} is "${value}", expected true or false`)
}

/** What a flag names, where `off` names nothing. */
export function unlessOff(path: string): string | undefined {
  return path === 'off' ? undefined : path
}

/** Of a flag that can be given again and again: all its values. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
