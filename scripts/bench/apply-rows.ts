import type { Backend } from '../../agent/netfilter/backend.ts'
import { atLeast, atMost } from './row.ts'
import type { Row } from './row.ts'
import { describeSamples, formatMs, formatNumber, median } from './statistics.ts'

export type ApplyCase = {
  readonly rules: number
  readonly situation: 'first' | 'replacing'
  readonly backend: Backend
}

/** Times in ms; those of the agent and of the bare restore are pairs, taken one right after the other. */
export type ApplySamples = {
  readonly agent: readonly number[]
  readonly bare: readonly number[]
  readonly script: readonly number[]
}

/** Prints the samples and holds them against the targets. */
export function judgeApply(one: ApplyCase, samples: ApplySamples): Row[] {
  const { agent, bare, script } = samples
  const name = `apply ${one.rules.toLocaleString('en')} rules, ${one.situation}, ${one.backend}`
  const ratios = agent.map((ms, pair) => ms / (bare[pair] ?? Number.NaN))
  const excesses = agent.map((ms, pair) => ms - (bare[pair] ?? Number.NaN))
  console.log(`  ${name}`)
  console.log(`    agent   ${describeSamples(agent)}`)
  console.log(`    bare    ${describeSamples(bare)}`)
  console.log(`    ratio   ${describeSamples(ratios, 'x')}`)
  console.log(`    excess  ${describeSamples(excesses)}`)
  if (script.length > 0) console.log(`    script  ${describeSamples(script)}`)
  return [besideBare(name, one, samples, { ratios, excesses }), ...besideScript(name, one, samples)]
}

function besideBare(
  name: string,
  { rules }: ApplyCase,
  { agent, bare }: ApplySamples,
  { ratios, excesses }: { readonly ratios: readonly number[]; readonly excesses: readonly number[] },
): Row {
  const what = `${name}: bare restore`
  const times = `${formatMs(agent)} beside ${formatMs(bare)}`
  if (rules >= 1_000) return atMost(what, median(ratios), 1.3, 'x', times)
  if (rules === 12) return atMost(what, median(excesses), 15, 'ms more', times)
  return { what, measured: `${formatMs(excesses)} more (${times})` }
}

function besideScript(name: string, { rules, situation }: ApplyCase, { agent, script }: ApplySamples): Row[] {
  if (script.length === 0) return []
  const what = `${name}: script`
  const ratio = median(script) / median(agent)
  const times = `${formatMs(agent)} beside ${formatMs(script)}`
  if (rules === 1_000 && situation === 'first') return [atLeast(what, ratio, 50, 'x faster', times)]
  return [{ what, measured: `${formatNumber(ratio)} x faster (${times})` }]
}
