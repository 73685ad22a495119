import { backends } from '../../agent/netfilter/backend.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { createKeeper } from './keeper.ts'
import type { Keep } from './keeper.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { describeSamples, formatMs } from './statistics.ts'
import { withSandbox } from './workshop.ts'

const sizes = [
  { rules: 12, times: 20 },
  { rules: 1_000, times: 10 },
  { rules: 10_000, times: 3 },
]

/** The whole pass, both families: parse, look at the node, read, compare, restore what differs, read back. */
export async function measurePass(): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const { rules, times } of sizes) {
      const texts = [namedRules(rules, false), namedRules(rules, true)]
      const name = `pass of ${rules.toLocaleString('en')} rules, ${backend}`
      const { changing, idle, parsing } = await withSandbox(async ({ node }) =>
        measureTexts(await createKeeper(node, backend), texts, times),
      )
      console.log(`  ${name}`)
      console.log(`    changes the rules  ${describeSamples(changing)}`)
      console.log(`    nothing to change  ${describeSamples(idle)}`)
      console.log(
        `    of which parsing   ${describeSamples(parsing)} (the agent parses only what has changed)`,
      )
      const measured = `${formatMs(changing)}, ${formatMs(idle)} if nothing differs; of which parsing ${formatMs(parsing)}`
      rows.push({ what: name, measured })
    }
  }
  return rows
}

async function measureTexts(keep: Keep, texts: readonly string[], times: number) {
  const samples = { changing: [] as number[], idle: [] as number[], parsing: [] as number[] }
  for (const text of texts) await keep(text)
  for (let time = 0; time < times; time += 1) {
    for (const text of texts) {
      samples.changing.push(await timePass(keep, text, 2))
      samples.idle.push(await timePass(keep, text, 0))
      samples.parsing.push(timeParsing(text))
    }
  }
  return samples
}

async function timePass(keep: Keep, text: string, families: number): Promise<number> {
  const { wrote, took } = await keep(text)
  if (wrote !== families) throw new Error(`a pass wrote to ${wrote} families, not to ${families}`)
  return took
}

function timeParsing(text: string): number {
  const startedAt = performance.now()
  parseRulesets([{ path: 'bench.yaml', bytes: Buffer.from(text) }])
  return performance.now() - startedAt
}
