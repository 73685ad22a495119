/** What overrides the rulesets of a node, and who says so. */
export type Override = { readonly mode: OverrideMode; readonly by: string }
export type OverrideMode = 'off' | 'audit'

/** One place that may override; `value` is what stands there. */
export type OverrideSource = { readonly by: string; readonly value: string | undefined }

/**
 * Who wins: the one that opens more, so that no second place can keep somebody locked out who has found the first.
 * A value that means nothing overrides nothing, and is told of.
 */
export function judgeOverrides(sources: readonly OverrideSource[]): {
  readonly override?: Override
  readonly problems: readonly string[]
} {
  const given = sources.map(({ by, value = '' }) => ({ by, value: value.trim() }))
  const unknown = given.filter(({ value }) => !['', 'enforce', 'off', 'audit'].includes(value))
  const problems = unknown.map(({ by, value }) => {
    return `${by}: found "${shorten(value)}", expected off, audit or enforce; it is ignored`
  })
  for (const mode of ['off', 'audit'] as const) {
    const winner = given.find(({ value }) => value === mode)
    if (winner === undefined) continue
    const losers = given.filter(({ value }) => (value === 'audit' || value === 'enforce') && value !== mode)
    const lost = losers.map(({ by, value }) => `${by} says ${shorten(value)}; what opens more wins`)
    return { override: { mode, by: winner.by }, problems: [...problems, ...lost] }
  }
  return { problems }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text
}
