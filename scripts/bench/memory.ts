import { setTimeout as pause } from 'node:timers/promises'
import { eachTenMinutes } from './agent-process.ts'
import { measureLists } from './memory-lists.ts'
import { readMemory } from './process-figures.ts'
import type { Memory } from './process-figures.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { formatNumber } from './statistics.ts'
import { withAgent } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

/** As many verify passes as ten minutes have. */
const verifyPasses = 20
const edits = 6

/**
 * Memory of the agent after as many verify passes as ten minutes have on a node (one each 10 s here, since V8 gives
 * memory back only to a process that rests in between), and after edits on top of that; then the memory and time that long lists of addresses take.
 */
export async function measureMemory(workshop: Workshop): Promise<Row[]> {
  const small = await measureRules(workshop, 12)
  const large = await measureRules(workshop, 1_000)
  return [
    atMost('memory resident, 12 rules', small.passes.rss, 90, 'MB', `${verifyPasses} verify passes`),
    atMost('memory anonymous, 12 rules', small.passes.anonymous, 45, 'MB', `${verifyPasses} verify passes`),
    { what: `memory, 12 rules, after ${edits} edits`, measured: describe(small.edits) },
    { what: 'memory, 1,000 rules', measured: describe(large.passes) },
    { what: `memory, 1,000 rules, after ${edits} edits`, measured: describe(large.edits) },
    ...(await measureLists(workshop)),
  ]
}

function describe({ rss, anonymous }: Memory): string {
  return `${formatNumber(rss)} MB, ${formatNumber(anonymous)} MB of it anonymous`
}

async function measureRules(workshop: Workshop, rules: number): Promise<{ passes: Memory; edits: Memory }> {
  const options = {
    backend: 'nft',
    text: namedRules(rules, false),
    verifySchedule: '*/10 * * * * *',
    reapplySchedule: eachTenMinutes,
  } as const
  return withAgent(workshop, options, async ({ agent, map }) => {
    const atFirst = agent.passes()
    while (agent.passes() < atFirst + verifyPasses) await pause(500)
    const passes = await readMemory(agent.pid)
    console.log(`  ${rules} rules: ${describe(passes)} after ${verifyPasses} verify passes`)
    for (let edit = 0; edit < edits; edit += 1) {
      const before = agent.passes()
      await map.edit(namedRules(rules, edit % 2 === 0))
      while (agent.passes() === before) await pause(100)
    }
    return { passes, edits: await readMemory(agent.pid) }
  })
}
