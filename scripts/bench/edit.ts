import { setTimeout as pause } from 'node:timers/promises'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { clientAddress } from '../../test/sandbox/sandbox.ts'
import { waitForOutcome } from './in-force.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { addressSet, namedRules } from './rulesets.ts'
import { describeSamples, describeSpread, median } from './statistics.ts'
import { withAgent } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

type Case = {
  readonly name: string
  readonly limit: number
  readonly families: readonly Family[]
  readonly open: string
  readonly closed: string
}

const { ipv4: client } = clientAddress.internet

const cases: readonly Case[] = [
  { name: '12 rules', limit: 60, families, open: namedRules(12, true), closed: namedRules(12, false) },
  {
    name: '1,000 addresses in a set',
    limit: 150,
    families: ['ipv4'],
    open: addressSet(1_000, client),
    closed: addressSet(1_000, '198.19.0.1'),
  },
  {
    name: '1,000 rules',
    limit: 150,
    families,
    open: namedRules(1_000, true),
    closed: namedRules(1_000, false),
  },
]

const edits = 20
const pauseMs = 300

/** From the swap of the ConfigMap's files to the first connection that meets the new rules, with the real agent. */
export async function measureEdit(workshop: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const one of cases) {
      const samples = await measureCase(workshop, backend, one)
      const what = `edit to in force, ${one.name}, ${backend}`
      console.log(`  ${what}: ${describeSamples(samples)}`)
      rows.push(atMost(what, median(samples), one.limit, 'ms', describeSpread(samples)))
    }
  }
  return rows
}

async function measureCase(workshop: Workshop, backend: Backend, one: Case): Promise<number[]> {
  return withAgent(workshop, { backend, text: one.closed }, async ({ internet, map }) => {
    const samples: number[] = []
    for (let edit = 0; edit < edits; edit += 1) {
      await pause(pauseMs)
      const opens = edit % 2 === 0
      const editedAt = await map.edit(opens ? one.open : one.closed)
      const inForceAt = await waitForOutcome(internet, opens ? 'accepted' : 'refused', one.families)
      samples.push(inForceAt - editedAt)
    }
    return samples
  })
}
