import type { Assessed } from '../status/assess.ts'
import type { ReadStatus } from '../status/read-status.ts'
import { formatAge } from './duration.ts'
import { plainLine } from './plain-text.ts'

export type TableOptions = {
  /** ms since the epoch */
  readonly now: number
  /** Columns of the terminal; absent: lines are as long as they are. */
  readonly width?: number | undefined
}

const header = ['NODE', 'STATE', 'RULESET', 'RULES', 'DRIFT', 'AGE', 'MESSAGE']

/** A line for each node, in the order given, after one that names the columns. */
export function formatTable(nodes: readonly Assessed[], { now, width }: TableOptions): string[] {
  const rows = [header, ...nodes.map((node) => cellsOf(node, now))]
  const widths = header.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  return rows.map((cells) => {
    const line = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
    return cut(line.trimEnd(), width)
  })
}

export function cut(line: string, width: number | undefined): string {
  return width === undefined || line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

/** When what it says was last seen to be so. */
export function lastSeen({ verifiedAt, appliedAt }: ReadStatus): string | undefined {
  return verifiedAt ?? appliedAt
}

function cellsOf({ node, condition, message, status }: Assessed, now: number): string[] {
  const cells = [
    node,
    condition,
    ...(status === undefined ? ['-', '-', '-', '-'] : facts(status, now)),
    message,
  ]
  return cells.map(plainLine)
}

function facts(status: ReadStatus, now: number): string[] {
  const { families, drift } = status.details
  const seen = Date.parse(lastSeen(status) ?? '')
  const rules = [families?.ipv4, families?.ipv6].flatMap((family) => {
    if (family === undefined) return []
    return [family.inForce === 'unknown' ? '?' : String(family.rules)]
  })
  return [
    // Of each family another one: the message, and the details, say more.
    status.ruleset.includes(' / ') ? 'mixed' : status.ruleset,
    rules.length === 0 ? '?' : rules.join('/'),
    drift === undefined ? '?' : String(drift.count),
    Number.isNaN(seen) ? '-' : formatAge(now - seen),
  ]
}
