import type { Cell, Matrix, MatrixRow } from '../policy/matrix.ts'

/** Prints matrices as tables; families of which all is the same share one. */
export function formatMatrices(matrices: readonly Matrix[]): string {
  const titles = new Map<string, string[]>()
  for (const matrix of matrices) {
    const text = formatMatrix(matrix)
    titles.set(text, [...(titles.get(text) ?? []), matrix.family === 'ipv4' ? 'IPv4' : 'IPv6'])
  }
  return [...titles].map(([text, names]) => `${names.join(' and ')}\n\n${text}`).join('\n')
}

function formatMatrix({ columns, rows }: Matrix): string {
  const header = ['', ...columns.map((names) => names.join(', '))]
  const lines = [header, ...rows.map((row) => [labelOf(row, rows), ...row.cells.map(formatCell)])]
  const widths = header.map((_, index) => Math.max(...lines.map((cells) => cells[index]?.length ?? 0)))
  const table = lines.map((cells) =>
    cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const notes = [
    ...rows.flatMap((row) =>
      row.cells.flatMap((cell, index) => explainMixed(row, rows, columns[index] ?? [], cell)),
    ),
    ...(rows.some(({ cells }) => cells.some(({ limited }) => limited))
      ? ['* within the limits of the rule']
      : []),
  ]
  return `${[...table, ...(notes.length === 0 ? [] : ['', ...notes])].join('\n')}\n`
}

function labelOf(row: MatrixRow, rows: readonly MatrixRow[]): string {
  const { protocol, ports, via } = row
  const isAlone = rows.filter((other) => other.protocol === protocol).length === 1
  const which = ports.length > 0 ? ports.join(',') : isAlone ? '' : 'other'
  const way = { any: '', direct: '(process of the node)', nodePort: '(NodePort, hostPort)' }[via]
  return [protocol, which, way].filter((part) => part !== '').join(' ')
}

function formatCell({ verdict, limited }: Cell): string {
  return `${verdict}${limited ? '*' : ''}`
}

function explainMixed(
  row: MatrixRow,
  rows: readonly MatrixRow[],
  names: readonly string[],
  { examples }: Cell,
): string[] {
  if (examples.length === 0) return []
  const shown = examples.map(({ from, action }) => `${from} ${action}`).join(', ')
  return [`mixed: ${labelOf(row, rows)} from ${names.join(', ')}: ${shown}`]
}
