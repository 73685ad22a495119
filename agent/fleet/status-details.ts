import type { Assessed } from '../status/assess.ts'
import type { ReadStatus } from '../status/read-status.ts'
import type { ChangeStatus, CutStatus, DriftStatus, FamilyStatus, StatusDetails } from '../status/status.ts'
import { formatAge } from './duration.ts'
import { plainLine } from './plain-text.ts'

/** A name and what there is to say of it, each a line. */
type Section = readonly [name: string, lines: readonly string[]]

const nameWidth = 17

/** All that a node says of itself, for people. `now` is in ms since the epoch. */
export function formatDetails({ node, condition, message, status }: Assessed, now: number): string[] {
  const sections: Section[] = [
    ['node', [node]],
    ['state', [condition]],
    ['message', [message]],
    ...(status === undefined ? [] : sectionsOf(status, now)),
  ]
  return sections.flatMap(([name, lines]) =>
    lines.map((line, index) => `${(index === 0 ? name : '').padEnd(nameWidth)}${plainLine(line)}`.trimEnd()),
  )
}

function sectionsOf(
  { ruleset, appliedAt, verifiedAt, details, unreadable }: ReadStatus,
  now: number,
): Section[] {
  const time = (at: string | undefined) => (at === undefined ? [] : [when(at, now)])
  return [
    ['ruleset', [ruleset]],
    ['verified', time(verifiedAt)],
    ['rules written', time(appliedAt)],
    ['change', details.change === undefined ? [] : describeChange(details.change, now)],
    ['overridden', details.mode === undefined ? [] : [`${details.mode.mode}, by ${details.mode.by}`]],
    ['iptables', details.backend === undefined ? [] : [details.backend]],
    ['external', details.interfaces === undefined ? [] : [details.interfaces.external.join(', ') || 'none']],
    ['ports', describePorts(details.ports)],
    ['IPv4', describeFamily(details.families?.ipv4)],
    ['IPv6', describeFamily(details.families?.ipv6)],
    ['drift', details.drift === undefined ? [] : describeDrift(details.drift, now)],
    ['connections', details.connections === undefined ? [] : describeCut(details.connections, now)],
    ['log read by', details.logging === undefined ? [] : [describeLogging(details.logging)]],
    ['denied', details.denied === undefined ? [] : describeDenied(details.denied, now)],
    ['problems', details.problems ?? []],
    ['warnings', details.warnings ?? []],
    ['not enforceable', details.notEnforceable ?? []],
    ['not understood', unreadable],
  ]
}

function when(at: string, now: number): string {
  const ms = now - Date.parse(at)
  return Number.isNaN(ms) ? at : `${formatAge(ms)} ago, ${at}`
}

function describeChange({ ruleset, step, probes, failed, at, message }: ChangeStatus, now: number): string[] {
  return [
    `ruleset ${ruleset}: ${step}${at === undefined ? '' : ` ${when(at, now)}`}`,
    ...(message === undefined ? [] : [message]),
    ...(failed === undefined ? [] : [`failed: ${failed}`]),
    ...(probes === undefined ? [] : [`probes that decide: ${probes.join(', ') || 'none'}`]),
  ]
}

function describePorts(ports: StatusDetails['ports'] = {}): string[] {
  const { kubelet, apiServer, etcd, etcdPeer } = ports
  const known = Object.entries({ kubelet, 'API server': apiServer, etcd, 'etcd peers': etcdPeer })
  const found = known.flatMap(([name, port]) => (port === undefined ? [] : [`${name} ${port}`]))
  return found.length === 0 ? [] : [found.join(', ')]
}

const positions: Readonly<Record<FamilyStatus['position'], string>> = {
  first: 'nothing that decides stands before the jump',
  preceded: 'rules of others that decide stand before the jump',
  absent: 'no jump leads to them',
}

function describeFamily(family: FamilyStatus | undefined): string[] {
  if (family === undefined) return []
  const { inForce, ruleset, rules, sets = 0, position, error } = family
  const why = error === undefined || error === '' ? '' : `: ${error}`
  if (inForce === 'unknown') return [`not known${why}`]
  if (ruleset === 'none') return [`nothing in force${why}`]
  const parts = [
    inForce === 'yes' ? 'in force' : 'not in force',
    `ruleset ${ruleset}`,
    `${rules} rules`,
    ...(sets === 0 ? [] : [`${sets} sets`]),
    positions[position],
  ]
  return [`${parts.join(', ')}${why}`]
}

function describeDrift({ count, byKind, last }: DriftStatus, now: number): string[] {
  if (count === 0) return ['none since the agent was started']
  const kinds = Object.entries(byKind).map(([kind, times]) => `${kind} ${times}`)
  const total = `${count} changes from outside: ${kinds.join(', ')}`
  if (last === undefined) return [total]
  const by = last.by === undefined ? '' : ` by ${last.by}`
  return [total, `last ${when(last.at, now)}${by}, ${last.healed ? 'healed' : 'not healed'}: ${last.message}`]
}

function describeCut({ at, cut, failed, notes }: CutStatus, now: number): string[] {
  return [`${cut} cut, ${failed} go on all the same, ${when(at, now)}`, ...notes]
}

function describeLogging({ by, note }: NonNullable<StatusDetails['logging']>): string {
  return note === undefined ? by : `${by}: ${note}`
}

function describeDenied(
  { since, packets, flows }: NonNullable<StatusDetails['denied']>,
  now: number,
): string[] {
  return [
    `${packets} packets logged since ${when(since, now)}`,
    ...flows.map(({ packets: count, verdict, rule, protocol, from, to, port }) => {
      const destination = port === undefined ? to : `${to} port ${port}`
      return `${count} of ${protocol} from ${from} to ${destination}: ${verdict} by ${rule}`
    }),
  ]
}
