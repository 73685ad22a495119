import { setTimeout as pause } from 'node:timers/promises'
import type { ApiServer } from '../../test/cluster/api-server.ts'
import { createHttp } from '../../test/cluster/conformance/http-client.ts'
import { configMapName, nodeName, withCluster } from './cluster.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { describeSamples, describeSpread, median } from './statistics.ts'
import { addressesToggle, rulesToggle, timeToggles } from './toggle.ts'
import type { Toggle } from './toggle.ts'
import { withAgent } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

const cases: readonly (readonly [Toggle, number])[] = [
  [rulesToggle(12), 100],
  [addressesToggle, 300],
]

const edits = 20
/** For two seconds the agent looks after connections that an edit has denied. */
const pauseMs = 3_000

/**
 * From a PATCH of the ConfigMap, just before it is sent, to the first connection that meets the new rules, with the
 * real agent and its probes. The kubelet never brings the files. The API server is the small one of the tests, in this
 * process.
 */
export async function measureApiEdit(workshop: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const [toggle, limit] of cases) {
    const samples = await measureToggle(workshop, toggle)
    const what = `edit through the API to in force, ${toggle.name}, nft`
    console.log(`  ${what}: ${describeSamples(samples)}`)
    rows.push(atMost(what, median(samples), limit, 'ms', describeSpread(samples)))
  }
  return rows
}

async function measureToggle(workshop: Workshop, toggle: Toggle): Promise<number[]> {
  // The kubelet renews its Lease much more often than usual, so that each edit is confirmed before the next.
  const { closed: text } = toggle
  return withCluster({ text, leaseEveryMs: 100 }, async ({ server, cluster }) => {
    const patch = connectEditor(server)
    return withAgent(workshop, { backend: 'nft', text, cluster }, async ({ internet }) =>
      timeToggles(toggle, internet, edits, async (edited) => {
        await isConfirmed(server)
        await pause(pauseMs)
        const editedAt = performance.now()
        await patch(edited)
        return editedAt
      }),
    )
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
