import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { packet, udp } from '../sandbox/packet.ts'
import { sendRaw } from '../sandbox/raw.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { enforce, openTables, rulesetOf } from './enforce.ts'

const backends = await usableBackends()

describe.each(backends)('on iptables-%s', (backend) => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    await sandbox.node.listen('udp', 7)
    const limit = { rate: '1/hour', burst: 4 }
    const rule = { name: 'echo', action: 'accept', protocol: 'udp', ports: [7], limit, log: true }
    // Its chain must not be taken for the one in which the first rule logs what exceeds its limit.
    const silent = { name: 'silent', action: 'accept', protocol: 'udp', ports: [5], limit }
    const namesake = {
      ...rule,
      name: 'echo over its rate',
      ports: [9],
      limit: { rate: '9/second', burst: 99 },
    }
    await enforce(sandbox.node, backend, rulesetOf({ rules: [rule, namesake, silent] }))
  })
  afterAll(async () => sandbox.close())

  test.each(families)(
    'a limit that is logged lets through as much as one that is not, %s',
    async (family) => {
      const outcomes: string[] = []
      for (const sourcePort of [5001, 5002, 5003, 5004, 5005]) {
        const probe = { protocol: 'udp', address: nodeAddress[family], port: 7, sourcePort } as const
        outcomes.push(await sandbox.internet.probe(probe))
      }
      expect(outcomes).toEqual(['accepted', 'accepted', 'accepted', 'accepted', 'silence'])
    },
  )

  test.each(families)('of datagrams that nobody has answered yet each counts, %s', async (family) => {
    const datagram = packet({
      source: clientAddress.internet[family],
      destination: nodeAddress[family],
      transport: udp(5001, 5, 'to nobody'),
    })
    await sendRaw(sandbox.internet, [datagram, datagram, datagram, datagram, datagram, datagram])
    const exceeding = async () => {
      const table = await (await openTables(sandbox.node)).read(backend, family)
      const rules = [...table.values()].flatMap((chain) => chain.rules)
      return rules.find(({ text }) => text.includes('"test/silent over its rate"'))?.counters.split(':')[0]
    }
    await expect.poll(exceeding).toBe('[2')
  })
})
