import { setTimeout as pause } from 'node:timers/promises'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { readCpu } from './process-figures.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { formatNumber } from './statistics.ts'
import { withAgent } from './with-agent.ts'
import type { AgentProcess } from './agent-process.ts'
import type { Workshop } from './workshop.ts'

const sizes = [12, 1_000]
const settlingPasses = 5
const passes = 20
const secondsBetweenPasses = 30

/** CPU time of the agent and the commands it runs for each verify pass that finds nothing to do. */
export async function measureCpu(workshop: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const rules of sizes) {
      const perPass = await measureRules(workshop, backend, rules)
      const what = `CPU time of an idle pass, ${rules.toLocaleString('en')} rules, ${backend}`
      const cores = formatNumber(perPass / secondsBetweenPasses)
      const measured = `${formatNumber(perPass)} ms; ${cores} millicores at one pass each ${secondsBetweenPasses} s`
      console.log(`  ${what}: ${measured} (${passes} passes)`)
      rows.push({ what, measured })
    }
  }
  return rows
}

async function measureRules(workshop: Workshop, backend: Backend, rules: number): Promise<number> {
  const options = { backend, text: namedRules(rules, false), verifySchedule: '* * * * * *' } as const
  return withAgent(workshop, options, async ({ agent }) => {
    await waitForPasses(agent, settlingPasses)
    const before = await readCpu(agent.pid)
    await waitForPasses(agent, passes)
    return ((await readCpu(agent.pid)) - before) / passes
  })
}

async function waitForPasses(agent: AgentProcess, count: number): Promise<void> {
  const last = agent.passes() + count
  while (agent.passes() < last) await pause(20)
}
