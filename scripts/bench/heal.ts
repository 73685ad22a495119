import { setTimeout as pause } from 'node:timers/promises'
import { chainNames } from '../../agent/netfilter/chain.ts'
import { timeBare } from './bare.ts'
import { waitForOutcome } from './in-force.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { describeSamples, describeSpread, median } from './statistics.ts'
import { withAgent } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

const flushes = 30
const pauseMs = 300

/**
 * From a foreign `iptables-nft -F` of our chain, which opens every port, to the first connection that is refused
 * again. Counted from the end of that command, and from its start: it has its effect some time in between, since it
 * waits for the kernel to free what it removed. Only nft: the kernel tells nobody of changes with the legacy backend.
 */
export async function measureHeal(workshop: Workshop): Promise<Row[]> {
  const options = { backend: 'nft', text: namedRules(12, false) } as const
  const flush = {
    program: 'iptables-nft',
    args: ['-F', chainNames.input],
    input: '',
    file: `${workshop.folder}/none`,
  }
  const samples = await withAgent(workshop, options, async ({ node, internet }) => {
    const healing: { readonly fromEnd: number; readonly fromStart: number }[] = []
    for (let round = 0; round < flushes; round += 1) {
      await pause(pauseMs)
      const took = timeBare(node.pid, flush)
      const endedAt = performance.now()
      const fromEnd = (await waitForOutcome(internet, 'refused', ['ipv4'])) - endedAt
      healing.push({ fromEnd, fromStart: fromEnd + took })
    }
    return healing
  })
  const fromEnd = samples.map((sample) => sample.fromEnd)
  const fromStart = samples.map((sample) => sample.fromStart)
  const what = 'foreign flush to healed, 12 rules, nft'
  console.log(`  ${what}, from its end:   ${describeSamples(fromEnd)}`)
  console.log(`  ${what}, from its start: ${describeSamples(fromStart)}`)
  return [
    atMost(`${what}, from its end`, median(fromEnd), 40, 'ms', describeSpread(fromEnd)),
    { what: `${what}, from its start`, measured: describeSamples(fromStart) },
  ]
}
