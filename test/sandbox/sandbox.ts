import { startHost } from './host.ts'
import type { Host } from './host.ts'
import { connect, prepare, settled } from './wire.ts'

/**
 * A node with one interface that has a public and a private address, as on LKE, and two clients behind a router:
 *
 *     internet 203.0.113.10, 2001:db8:113::10 ──┐
 *                                               router ── eth0 node 198.51.100.2, 192.168.133.7, 2001:db8:1::2
 *     private 192.168.200.20, fd00:200::20 ─────┘
 */
export type Sandbox = {
  readonly node: Host
  readonly internet: Host
  readonly private: Host
  close(): Promise<void>
}

/** Addresses of the node, by family. */
export const nodeAddress = { ipv4: '198.51.100.2', ipv6: '2001:db8:1::2' } as const

/** Addresses of the clients, by family. */
export const clientAddress = {
  internet: { ipv4: '203.0.113.10', ipv6: '2001:db8:113::10' },
  private: { ipv4: '192.168.200.20', ipv6: 'fd00:200::20' },
} as const

/** Makes the hosts, cables and routes. Everything is gone when it is closed, or when this process ends. */
export async function createSandbox(): Promise<Sandbox> {
  const [router, node, internet, privateHost] = await Promise.all([
    startHost(),
    startHost(),
    startHost(),
    startHost(),
  ])
  await prepare(router, ['ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1'])
  await Promise.all([node, internet, privateHost].map(async (host) => prepare(host)))
  await connect(router, node, 'node', {
    router: ['198.51.100.1/24', '192.168.133.1/24', '2001:db8:1::1/64'],
    host: ['198.51.100.2/24', '192.168.133.7/24', '2001:db8:1::2/64'],
  })
  await connect(router, internet, 'internet', {
    router: ['203.0.113.1/24', '2001:db8:113::1/64'],
    host: ['203.0.113.10/24', '2001:db8:113::10/64'],
  })
  await connect(router, privateHost, 'private', {
    router: ['192.168.200.1/24', 'fd00:200::1/64'],
    host: ['192.168.200.20/24', 'fd00:200::20/64'],
  })
  await Promise.all([router, node, internet, privateHost].map(settled))
  return {
    node,
    internet,
    private: privateHost,
    close: async () =>
      void (await Promise.all([router, node, internet, privateHost].map(async (host) => host.close()))),
  }
}
