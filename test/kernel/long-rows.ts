/** Rows of a table of tests: all of them in the long run, and otherwise those that teach most, which is said aloud. */
export function longRows<T>(what: string, rows: readonly T[], isOrdinary: (row: T) => boolean): readonly T[] {
  if (process.env['ALL_FAULTS'] === '1') return rows
  const ordinary = rows.filter(isOrdinary)
  const left = rows.length - ordinary.length
  if (left > 0) console.warn(`SKIPPED: ${left} of ${rows.length} rows of ${what}; npm run test:long has them`)
  return ordinary
}
