/** A place in a text: lines and columns count from 1. */
export type Position = { readonly line: number; readonly column: number }

/** Something in what a person wrote: an error makes the input unusable, a warning is likely not meant. */
export type Problem = Position & {
  readonly path: string
  readonly severity: 'error' | 'warning'
  readonly message: string
}

/** One line a problem, as compilers print them: `PATH:LINE:COLUMN: message`. */
export function formatProblem({ path, line, column, severity, message }: Problem): string {
  return `${path}:${line}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${message}`
}

/** A value that somebody wrote, short enough to stand in a message. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'an empty value'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a map'
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** The known word nearest to a misspelt one (at most two edits away), if there is one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
  const best = scored.toSorted((a, b) => a.distance - b.distance)[0]
  return best !== undefined && best.distance <= 2 ? best.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, from] of a.split('').entries()) {
    const next = [i + 1]
    for (const [j, to] of b.split('').entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (from === to ? 0 : 1)))
    }
    row = next
  }
  return row[b.length] ?? 0
}
