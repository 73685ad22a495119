import type { DeniedFlow } from '../denied/top-flows.ts'
import type { StatusDetails } from '../status/status.ts'
import type { News } from './ask-agent.ts'
import { formatAge } from './duration.ts'
import { plainLine } from './plain-text.ts'

/** What the annotations of a Node say of denied flows. */
export type NodeDenials = {
  readonly node: string
  readonly logging: StatusDetails['logging'] | undefined
  readonly denied: StatusDetails['denied'] | undefined
}

const flowHeader = ['PACKETS', 'VERDICT', 'RULE', 'FROM', 'TO', 'PROTOCOL', 'LAST']

/** What an agent says of its own node: how it is read, the latest lines, and what is denied most. */
export function formatNews({ logging, top, recent }: News, now: number): string[] {
  if (logging === undefined) return ['no rule logs on this node: see log and defaults.log of its rulesets']
  const lines = recent.map(({ time, verdict, ruleset, rule, protocol, from, to, port, ...more }) => [
    time,
    verdict,
    ruleset === undefined ? rule : `${ruleset}/${rule}`,
    from ?? '?',
    destination(to ?? '?', port),
    protocol ?? '?',
    [more.in ?? '', more.out ?? ''].join('>'),
  ])
  return [
    describeLogging(logging),
    '',
    ...table([['TIME', 'VERDICT', 'RULE', 'FROM', 'TO', 'PROTOCOL', 'IN>OUT'], ...lines]),
    '',
    `${top.packets} packets since ${top.since}, most of them:`,
    ...table([flowHeader, ...top.flows.slice(0, 20).map((flow) => cellsOf(flow, now))]),
  ]
}

/** The flows that nodes deny most, of all nodes those of most packets first; then who is not heard of, and why. */
export function formatFleet(nodes: readonly NodeDenials[], now: number): string[] {
  const flows = nodes.flatMap(({ node, denied }) => (denied?.flows ?? []).map((flow) => ({ node, flow })))
  const rows = flows
    .toSorted((a, b) => b.flow.packets - a.flow.packets)
    .map(({ node, flow }) => [node, ...cellsOf(flow, now)])
  const silent = nodes.filter(({ logging }) => logging === undefined).length
  const unread = nodes.filter(({ logging }) => logging?.by === 'nothing')
  return [
    ...table([['NODE', ...flowHeader], ...rows]),
    ...(silent === 0 ? [] : [`${silent} of ${nodes.length} nodes have no rules that log`]),
    ...unread.map(({ node, logging }) => plainLine(`${node}: not read: ${logging?.note ?? ''}`)),
  ]
}

function cellsOf({ packets, verdict, rule, from, to, port, protocol, last }: DeniedFlow, now: number) {
  const ms = now - Date.parse(last)
  const age = Number.isNaN(ms) ? '-' : `${formatAge(ms)} ago`
  return [String(packets), verdict, rule, from, destination(to, port), protocol, age]
}

function destination(address: string, port: number | undefined): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function describeLogging({ by, note }: NonNullable<News['logging']>): string {
  const how = by === 'nothing' ? 'what rules log is not read' : `what rules log is read by ${by}`
  return plainLine(note === undefined ? how : `${how}: ${note}`)
}

function table(rows: readonly (readonly string[])[]): string[] {
  const plain = rows.map((cells) => cells.map(plainLine))
  const widths = (plain[0] ?? []).map((_, column) =>
    Math.max(...plain.map((cells) => cells[column]?.length ?? 0)),
  )
  return plain.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
