import { setTimeout as pause } from 'node:timers/promises'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { describeSamples, describeSpread, median } from './statistics.ts'
import { addressesToggle, rulesToggle, timeToggles } from './toggle.ts'
import type { Toggle } from './toggle.ts'
import { withAgent } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

const cases: readonly (readonly [Toggle, number])[] = [
  [rulesToggle(12), 60],
  [addressesToggle, 150],
  [rulesToggle(1_000), 150],
]

const edits = 20
const pauseMs = 300

/** From the swap of the ConfigMap's files to the first connection that meets the new rules, with the real agent. */
export async function measureEdit(workshop: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const [toggle, limit] of cases) {
      const samples = await measureToggle(workshop, backend, toggle)
      const what = `edit to in force, ${toggle.name}, ${backend}`
      console.log(`  ${what}: ${describeSamples(samples)}`)
      rows.push(atMost(what, median(samples), limit, 'ms', describeSpread(samples)))
    }
  }
  return rows
}

async function measureToggle(workshop: Workshop, backend: Backend, toggle: Toggle): Promise<number[]> {
  return withAgent(workshop, { backend, text: toggle.closed }, async ({ internet, map }) =>
    timeToggles(toggle, internet, edits, async (text) => {
      await pause(pauseMs)
      return map.edit(text)
    }),
  )
}
