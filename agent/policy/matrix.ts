import type { Family } from '../ruleset/address.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import type { Action } from '../ruleset/fields.ts'
import type { Connection } from './connection.ts'
import { groupSources } from './matrix-groups.ts'
import type { Group, NamedSources } from './matrix-groups.ts'
import { probesOf } from './matrix-probes.ts'
import type { Probe } from './matrix-probes.ts'
import type { Policy } from './policy.ts'
import { formatPorts } from './verdict-near.ts'
import { decideConnection } from './verdict.ts'

/** Who reaches what of a node: a column for each group of sources, a row for each group of ports. */
export type Matrix = {
  readonly family: Family
  /** Names of groups that reach the same share a column. */
  readonly columns: readonly (readonly string[])[]
  readonly rows: readonly MatrixRow[]
}

export type MatrixRow = {
  readonly protocol: string
  /** Ports or ICMP types; none: all that the rows of the protocol do not name. */
  readonly ports: readonly string[]
  /** Whether it holds for the node's own processes, for what is translated (NodePorts, hostPorts), or both. */
  readonly via: 'any' | 'direct' | 'nodePort'
  readonly cells: readonly Cell[]
}

export type Cell = {
  readonly verdict: Action | 'mixed'
  /** Accepted as long as a limit is not exceeded. */
  readonly limited: boolean
  /** Where some of the group are answered otherwise than others: one of each. */
  readonly examples: readonly { readonly from: string; readonly action: Action }[]
}

export type MatrixOptions = {
  readonly family: Family
  /** The address of the node that is dialled. */
  readonly node: string
  /** The interface that all of it comes in on. */
  readonly input: string
  readonly named: readonly NamedSources[]
}

/** Answers for every source, protocol and port what a policy makes of a connection to the node. */
export function buildMatrix(policy: Policy, options: MatrixOptions): Matrix {
  const groups = groupSources(policy, options.named, options.family)
  const rows = probesOf(policy, options.family).flatMap(({ name, probes }) =>
    mergeRows(
      name,
      probes.flatMap((probe) => answer(policy, probe, groups, options)),
    ),
  )
  return {
    family: options.family,
    ...mergeColumns(
      groups.map(({ name }) => name),
      rows,
    ),
  }
}

type Answer = Pick<MatrixRow, 'via' | 'cells'> & { readonly probe: Probe }

function answer(policy: Policy, probe: Probe, groups: readonly Group[], options: MatrixOptions): Answer[] {
  const cellsOf = (real: Connection['real']) =>
    groups.map((group) => answerGroup(policy, group, toConnection(probe, real, options)))
  const dialled = destination(options.node, probe)
  const direct = cellsOf(dialled)
  if (probe.port === undefined) return [{ via: 'any', cells: direct, probe }]
  const nodePort = cellsOf({ ...dialled, port: probe.port === 1 ? 2 : 1 })
  if (sameCells(direct, nodePort)) return [{ via: 'any', cells: direct, probe }]
  return [
    { via: 'direct', cells: direct, probe },
    { via: 'nodePort', cells: nodePort, probe },
  ]
}

function toConnection(
  probe: Probe,
  real: Connection['real'],
  options: MatrixOptions,
): Omit<Connection, 'from'> {
  const { protocol, icmp } = probe
  return {
    family: options.family,
    protocol,
    // A port of no failsafe: those of DHCP are below 1024.
    fromPort: 40_000,
    dialled: destination(options.node, probe),
    real,
    in: options.input,
    ...(icmp === undefined ? {} : { icmp }),
  }
}

function destination(address: string, { port }: Probe): Connection['real'] {
  return { address, ...(port === undefined ? {} : { port }) }
}

function answerGroup(policy: Policy, { addresses }: Group, connection: Omit<Connection, 'from'>): Cell {
  const examples = new Map<Action, string>()
  let limited = false
  for (const from of addresses) {
    const verdict = decideConnection(policy, { ...connection, from })
    limited ||= verdict.limited
    if (!examples.has(verdict.action)) examples.set(verdict.action, from)
  }
  const [[action = 'accept'] = [], ...others] = examples
  if (others.length === 0) return { verdict: action, limited, examples: [] }
  return { verdict: 'mixed', limited, examples: [...examples].map(([of, from]) => ({ from, action: of })) }
}

/** One row for all ports that are answered alike; what no rule mentions comes last, and takes in its like. */
function mergeRows(protocol: string, answers: readonly Answer[]): MatrixRow[] {
  const other = answers.find(({ probe }) => probe.range === undefined && probe.label === undefined)
  const alike = Map.groupBy(
    answers.filter(({ cells }) => other === undefined || !sameCells(cells, other.cells)),
    ({ via, cells }) => JSON.stringify([via, cells]),
  )
  const rows = [...alike.values()].flatMap((group): MatrixRow[] => {
    const [first] = group
    if (first === undefined) return []
    const { via, cells } = first
    return [{ protocol, ports: labelsOf(group.map(({ probe }) => probe)), via, cells }]
  })
  return other === undefined ? rows : [...rows, { protocol, ports: [], via: 'any', cells: other.cells }]
}

/** What probes in ascending order stand for, with ranges that touch made one. */
function labelsOf(probes: readonly Probe[]): string[] {
  const labels: string[] = []
  let open: PortRange | undefined
  for (const { range, label = '' } of probes) {
    const before = range !== undefined && open?.last === range.first - 1 ? open : undefined
    if (before !== undefined) labels.pop()
    open = range === undefined ? undefined : { first: before?.first ?? range.first, last: range.last }
    labels.push(open === undefined ? label : formatPorts(open))
  }
  return labels
}

function mergeColumns(
  names: readonly string[],
  rows: readonly MatrixRow[],
): Pick<Matrix, 'columns' | 'rows'> {
  const columns = new Map<string, { readonly index: number; readonly names: readonly string[] }>()
  for (const [index, name] of names.entries()) {
    const key = JSON.stringify(rows.map(({ cells }) => cells[index]))
    const { index: first = index, names: before = [] } = columns.get(key) ?? {}
    columns.set(key, { index: first, names: [...before, name] })
  }
  const kept = new Set([...columns.values()].map(({ index }) => index))
  return {
    columns: [...columns.values()].map((column) => column.names),
    rows: rows.map((row) => ({ ...row, cells: row.cells.filter((_, index) => kept.has(index)) })),
  }
}

function sameCells(a: readonly Cell[], b: readonly Cell[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
