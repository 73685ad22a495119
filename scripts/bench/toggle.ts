import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { clientAddress } from '../../test/sandbox/sandbox.ts'
import type { Host } from '../../test/sandbox/host.ts'
import { waitForOutcome } from './in-force.ts'
import { addressSet, namedRules } from './rulesets.ts'

/** Two texts of a ruleset, of which one opens a port to the client. */
export type Toggle = {
  readonly name: string
  readonly open: string
  readonly closed: string
  /** By which a change of one into the other is seen. */
  readonly families: readonly Family[]
}

const { ipv4: client } = clientAddress.internet

export const rulesToggle = (count: number): Toggle => ({
  name: `${count.toLocaleString('en')} rules`,
  open: namedRules(count, true),
  closed: namedRules(count, false),
  families,
})

export const addressesToggle: Toggle = {
  name: '1,000 addresses in a set',
  open: addressSet(1_000, client),
  closed: addressSet(1_000, '198.19.0.1'),
  families: ['ipv4'],
}

/** Opens and closes, in turns; resolves to how many ms each took until the client saw it. */
export async function timeToggles(
  { open, closed, families: seenBy }: Toggle,
  from: Host,
  edits: number,
  edit: (text: string) => Promise<number>,
): Promise<number[]> {
  const samples: number[] = []
  for (let count = 0; count < edits; count += 1) {
    const opens = count % 2 === 0
    const editedAt = await edit(opens ? open : closed)
    samples.push((await waitForOutcome(from, opens ? 'accepted' : 'refused', seenBy)) - editedAt)
  }
  return samples
}
