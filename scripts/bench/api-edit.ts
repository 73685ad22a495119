import { setTimeout as pause } from 'node:timers/promises'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { ApiServer } from '../../test/cluster/api-server.ts'
import { createHttp } from '../../test/cluster/conformance/http-client.ts'
import { clientAddress } from '../../test/sandbox/sandbox.ts'
import { configMapName, nodeName, withCluster } from './cluster.ts'
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
  { name: '12 rules', limit: 100, families, open: namedRules(12, true), closed: namedRules(12, false) },
  {
    name: '1,000 CIDRs in a set',
    limit: 300,
    families: ['ipv4'],
    open: addressSet(1_000, client),
    closed: addressSet(1_000, '198.19.0.1'),
  },
]

const edits = 20
const pauseMs = 300

/**
 * From a PATCH of the ConfigMap, just before it is sent, to the first connection that meets the new rules, with the
 * real agent and its probes. The kubelet never brings the files. The API server is the small one of the tests, in this
 * process.
 */
export async function measureApiEdit(workshop: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const one of cases) {
    const samples = await measureCase(workshop, one)
    const what = `edit through the API to in force, ${one.name}, nft`
    console.log(`  ${what}: ${describeSamples(samples)}`)
    rows.push(atMost(what, median(samples), one.limit, 'ms', describeSpread(samples)))
  }
  return rows
}

async function measureCase(workshop: Workshop, one: Case): Promise<number[]> {
  // The kubelet renews its Lease much more often than usual, so that each edit is confirmed before the next.
  return withCluster({ text: one.closed, leaseEveryMs: 100 }, async ({ server, cluster }) => {
    const patch = connectEditor(server)
    return withAgent(workshop, { backend: 'nft', text: one.closed, cluster }, async ({ internet }) => {
      const samples: number[] = []
      for (let edit = 0; edit < edits; edit += 1) {
        await isConfirmed(server)
        await pause(pauseMs)
        const opens = edit % 2 === 0
        const editedAt = performance.now()
        await patch(opens ? one.open : one.closed)
        const inForceAt = await waitForOutcome(internet, opens ? 'accepted' : 'refused', one.families)
        samples.push(inForceAt - editedAt)
      }
      return samples
    })
  })
}

/** Edits as kubectl does. */
function connectEditor(server: ApiServer): (text: string) => Promise<void> {
  const http = createHttp(server.url, server.caFile)
  const token = server.createToken({
    user: 'bench',
    rules: [{ verbs: ['patch'], resources: ['configmaps'] }],
  })
  const path = `/api/v1/namespaces/node-firewall/configmaps/${configMapName}`
  return async (text) => {
    const body = { data: { 'bench.yaml': text } }
    const { status } = await http.call('PATCH', path, {
      token,
      contentType: 'application/merge-patch+json',
      body,
    })
    if (status !== 200) throw new Error(`the ConfigMap could not be edited: ${status}`)
  }
}

async function isConfirmed(server: ApiServer): Promise<void> {
  for (;;) {
    const { annotations = {} } = server.getNode(nodeName).metadata
    if (annotations['node-firewall.io/state'] === 'Enforcing') return
    await pause(20)
  }
}
