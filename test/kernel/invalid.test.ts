import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chainNames } from '../../agent/netfilter/chain.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import type { ChatMethods } from '../sandbox/chat.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { startService } from '../sandbox/service.ts'
import { enforce, openTables, rulesetOf } from './enforce.ts'

const backends = await usableBackends()
const chat = join(import.meta.dirname, '..', 'sandbox', 'chat.ts')
const port = 7777

/**
 * Gives what the server says another number on its way: conntrack calls INVALID what is out of the window, be it one
 * half of all numbers or the other.
 */
const wrong = `table inet wrong {
  chain forward {
    type filter hook forward priority 0
    tcp sport ${port} tcp flags & psh == psh tcp sequence set numgen inc mod 2 map { 0 : 12345, 1 : 2147495993 }
  }
}
`

describe.each(backends)('what conntrack calls INVALID on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => void (cluster = await createCluster({ backend })))
  afterAll(async () => cluster.close())

  /** How many rules have denied anything. */
  async function denying(family: Family): Promise<number> {
    const table = await (await openTables(cluster.node)).read(backend, family)
    const rules = table.get(chainNames.input)?.rules ?? []
    const counts = rules.filter(({ text }) => /-j (DROP|REJECT)/.test(text)).map(({ counters }) => counters)
    return counts.filter((counters) => !counters.startsWith('[0:')).length
  }

  test.each(families)('is not answered with a reset of a connection that is fine, %s', async (family) => {
    await enforce(cluster.node, backend, rulesetOf({ defaults: { ingress: 'reject' } }))
    const server = await startService<ChatMethods>(cluster.internet, chat, {})
    const client = await startService<ChatMethods>(cluster.node, chat, {})
    await server.serve(port)
    await client.open(clusterAddress.internet[family], port)
    await cluster.router.exec('nft', ['-f', '-'], { input: wrong })
    await server.say('word')
    await expect.poll(async () => denying(family)).toBeGreaterThan(0)
    await cluster.router.exec('nft', ['delete', 'table', 'inet', 'wrong'])
    await expect.poll(client.heard, { timeout: 10_000 }).toEqual({ heard: 'word', ended: false })
    await Promise.all([server.close(), client.close()])
  })
})
