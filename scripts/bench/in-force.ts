import { setTimeout as pause } from 'node:timers/promises'
import { families as allFamilies } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Host } from '../../test/sandbox/host.ts'
import type { Outcome } from '../../test/sandbox/protocol.ts'
import { nodeAddress } from '../../test/sandbox/sandbox.ts'
import { togglePort } from './rulesets.ts'

const pauseMs = 2
const longestMs = 30_000

/**
 * Opens TCP connections to the node, one after the other with a pause of 2 ms, until all families have the
 * outcome that is waited for; returns the moment of the answer, see performance.now(). That is later than the
 * rule by one round at the most, 2 to 4 ms. Packets are what counts, and they tell the same on both backends.
 */
export async function waitForOutcome(
  client: Host,
  outcome: Outcome,
  families: readonly Family[] = allFamilies,
): Promise<number> {
  const startedAt = performance.now()
  for (;;) {
    const seen = await Promise.all(
      families.map(async (family) =>
        client.probe({ protocol: 'tcp', address: nodeAddress[family], port: togglePort }),
      ),
    )
    const now = performance.now()
    if (seen.every((one) => one === outcome)) return now
    if (now - startedAt > longestMs) throw new Error(`connections were not ${outcome} after ${longestMs} ms`)
    await pause(pauseMs)
  }
}
