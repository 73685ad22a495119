import { formatNumber } from './statistics.ts'

/** One line of the table at the end. */
export type Row = {
  readonly what: string
  readonly measured: string
  readonly target?: string
  readonly met?: boolean
}

export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map(({ what, measured, target = '', met }) => {
    return [what, measured, target, met === undefined ? '' : met ? 'met' : 'NOT MET']
  })
  const all = [['what', 'measured', 'target', ''], ...cells]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

/** A row whose value must not exceed a limit; `note` says more about the value. */
export function atMost(what: string, value: number, limit: number, unit: string, note = ''): Row {
  const measured = `${formatNumber(value)} ${unit}${note === '' ? '' : ` (${note})`}`
  return { what, measured, target: `at most ${formatNumber(limit)} ${unit}`, met: value <= limit }
}

export function atLeast(what: string, value: number, limit: number, unit: string, note = ''): Row {
  const measured = `${formatNumber(value)} ${unit}${note === '' ? '' : ` (${note})`}`
  return { what, measured, target: `at least ${formatNumber(limit)} ${unit}`, met: value >= limit }
}
