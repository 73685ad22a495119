import { createHash } from 'node:crypto'
import { InvalidArgumentError } from 'commander'
import type { Option } from 'commander'
import { validate as isCron } from 'node-cron'
import { messageOf } from '../errors.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import { option, parseAddress } from './options.ts'

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

export function podOption(): Option {
  return option('--pod <name>', 'POD', 'name of the pod of this agent: its log is how the kubelet is probed')
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

function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE()
}

function parseSeconds(text: string): number {
  const seconds = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0
  if (seconds < 1 || seconds > 3_600) throw new InvalidArgumentError('expected seconds, from 1 to 3600')
  return seconds
}
