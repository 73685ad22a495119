import { expect, test } from 'vitest'
import { createServerFinder } from '../../agent/daemon/server-finder.ts'
import type { ServedBy } from '../../agent/daemon/server-finder.ts'
import { OutsideError } from '../../agent/errors.ts'
import type { Held } from '../../agent/host/held-connections.ts'
import { keepMs } from '../../agent/policy/remember-servers.ts'
import type { KnownServer } from '../../agent/policy/remember-servers.ts'

/** A node that is asked; what a test says of it holds from the next look on. */
function createNode() {
  const node = {
    kubelet: undefined as ServedBy | undefined,
    own: undefined as string | undefined,
    names: new Map<string, readonly string[]>(),
    held: [] as readonly Held[],
    disk: undefined as readonly KnownServer[] | undefined,
    saves: 0,
    asked: [] as number[],
    now: 0,
    open() {
      const find = createServerFinder({
        readKubelet: async () => node.kubelet,
        ownServer: async () => {
          if (node.own === undefined) throw new Error('no access')
          return new URL(node.own)
        },
        async lookUp(host) {
          const found = node.names.get(host)
          if (found === undefined) throw new OutsideError(`${host} has no address`)
          return found
        },
        async readHeld(_, port) {
          node.asked.push(port)
          return node.held
        },
        read: async () => node.disk,
        async save(servers) {
          node.saves += 1
          node.disk = servers
        },
        wait: async () => new Promise(() => {}),
        now: () => node.now,
        elapsedMs: () => node.now,
      })
      return async (afterMs = 0) => {
        node.now += afterMs
        return (await find(false)).map(({ address, port, of }) => `${address.address} ${port} ${of}`)
      }
    },
  }
  return node
}

const served = (server: string): ServedBy => ({ pid: 60, server: new URL(server) })

test.each<[string, string, readonly string[]]>([
  ['an address', 'https://192.0.2.6', ['192.0.2.6 443 kubelet']],
  ['an address of IPv6 and a port', 'https://[2001:db8::6]:6443', ['2001:db8::6 6443 kubelet']],
  ['a name', 'https://api.test:6443', ['192.0.2.7 6443 kubelet', '2001:db8::7 6443 kubelet']],
  ['a name that leads nowhere', 'https://gone.test', []],
  ['a proxy on the node', 'https://127.0.0.1:6443', []],
  ['a proxy on the node, by its name', 'https://localhost:6443', []],
  ['no TLS', 'http://192.0.2.6', []],
])('the server of the kubelet is %s', async (_, server, expected) => {
  const node = createNode()
  node.kubelet = served(server)
  node.names = new Map([
    ['api.test', ['2001:db8::7', '192.0.2.7']],
    ['localhost', ['127.0.0.1', '::1']],
  ])
  expect(await node.open()()).toEqual(expected)
})

test('that of the agent is beside it', async () => {
  const node = createNode()
  node.kubelet = served('https://192.0.2.6')
  node.own = 'https://10.96.0.1:443'
  expect(await node.open()()).toEqual(['10.96.0.1 443 agent', '192.0.2.6 443 kubelet'])
})

test('where the kubelet holds a connection counts once it has stood for a while', async () => {
  const node = createNode()
  node.kubelet = served('https://api.test:6443')
  const look = node.open()
  node.held = [{ inode: 1, peer: '192.0.2.8' }]
  expect(await look()).toEqual([])
  // A pod that is asked whether it is well, and then another one.
  node.held = [
    { inode: 1, peer: '192.0.2.8' },
    { inode: 2, peer: '10.244.0.5' },
  ]
  expect(await look(9_999)).toEqual([])
  node.held = [
    { inode: 1, peer: '192.0.2.8' },
    { inode: 3, peer: '10.244.0.6' },
  ]
  expect(await look(1)).toEqual(['192.0.2.8 6443 kubelet'])
  expect(new Set(node.asked)).toEqual(new Set([6443]))
})

test('of an address no connections are looked at', async () => {
  const node = createNode()
  node.kubelet = served('https://192.0.2.6')
  await node.open()()
  expect(node.asked).toEqual([])
})

test('a kubelet that connects anew, stops, or goes elsewhere takes nothing away', async () => {
  const node = createNode()
  node.kubelet = served('https://api.test')
  node.names.set('api.test', ['192.0.2.7'])
  const look = node.open()
  expect(await look()).toEqual(['192.0.2.7 443 kubelet'])
  node.names.delete('api.test')
  expect(await look(60_000)).toEqual(['192.0.2.7 443 kubelet'])
  node.kubelet = undefined
  expect(await look(60_000)).toEqual(['192.0.2.7 443 kubelet'])
  node.kubelet = served('https://192.0.2.9')
  expect(await look(60_000)).toEqual(['192.0.2.7 443 kubelet', '192.0.2.9 443 kubelet'])
  expect(node.saves).toBe(2)
  expect(await look(keepMs)).toEqual(['192.0.2.9 443 kubelet'])
})

test('the next agent knows what this one has seen, as long as it was seen', async () => {
  const node = createNode()
  node.kubelet = served('https://192.0.2.6')
  const look = node.open()
  for (let day = 0; day < 20; day += 1) await look(24 * 3_600_000)
  expect(node.saves).toBeLessThan(25)
  node.kubelet = undefined
  expect(await node.open()(keepMs / 2)).toEqual(['192.0.2.6 443 kubelet'])
  expect(await node.open()(keepMs)).toEqual([])
})

test('a name server that does not answer keeps a look for a moment only, and what was found stays', async () => {
  const node = createNode()
  node.kubelet = served('https://api.test')
  node.names.set('api.test', ['192.0.2.7'])
  const find = createServerFinder({
    readKubelet: async () => node.kubelet,
    ownServer: undefined,
    lookUp: async () => new Promise(() => {}),
    readHeld: async () => [],
    read: async () => [{ ...(await seenAt()), seenAt: 0 }],
    save: async () => {},
    wait: async () => {},
    now: () => 1,
    elapsedMs: () => 1,
  })
  expect(await find(false)).toEqual([await seenAt()])
})

async function seenAt() {
  const node = createNode()
  node.kubelet = served('https://192.0.2.7')
  await node.open()()
  const [known] = node.disk ?? []
  if (known === undefined) throw new Error('nothing was kept')
  const { address, port, of } = known
  return { address, port, of }
}
