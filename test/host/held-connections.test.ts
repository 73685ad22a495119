import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseHeld, readHeld } from '../../agent/host/held-connections.ts'
import type { HoldMethods } from '../sandbox/hold.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { startService } from '../sandbox/service.ts'
import { connect, prepare } from '../sandbox/wire.ts'

describe('connections of a process', () => {
  let node: Host
  let server: Host
  beforeAll(async () => {
    ;[node, server] = await Promise.all([startHost('node'), startHost('server')])
    await Promise.all([node, server].map(async (host) => prepare(host)))
    await connect(server, node, 'node', {
      router: ['192.0.2.6/24', '2001:db8:c::6/64'],
      host: ['192.0.2.7/24', '2001:db8:c::7/64'],
    })
    await Promise.all([server.listen('tcp', 6443), server.listen('tcp', 443)])
  })
  afterAll(async () => Promise.all([node.close(), server.close()]))

  test('that stand, to one port of others', async () => {
    const file = join(import.meta.dirname, '..', 'sandbox', 'hold.ts')
    const [holder, stranger] = await Promise.all([
      startService<HoldMethods>(node, file, {}),
      startService<HoldMethods>(node, file, {}),
    ])
    for (const host of ['192.0.2.6', '::ffff:192.0.2.6', '2001:db8:c::6']) await holder.hold(host, 6443)
    await holder.hold('192.0.2.6', 443)
    await stranger.hold('192.0.2.6', 6443)
    const { pid } = holder
    const found = await readHeld(node.exec, pid, 6443)
    expect(found.map(({ peer }) => peer).toSorted()).toEqual(['192.0.2.6', '192.0.2.6', '2001:db8:c::6'])
    expect(new Set(found.map(({ inode }) => inode)).size).toBe(3)
    expect((await readHeld(node.exec, pid, 443)).map(({ peer }) => peer)).toEqual(['192.0.2.6'])
    expect(await readHeld(node.exec, pid, 22)).toEqual([])
    await Promise.all([holder.close(), stranger.close()])
  })
})

test.each([
  ['an address', '0 0 10.0.0.7:40000 192.0.2.6:443 ino:11 sk:1 <->', [{ inode: 11, peer: '192.0.2.6' }]],
  [
    'an address of IPv4 in IPv6',
    '0 0 [::ffff:10.0.0.7]:40000 [::ffff:192.0.2.6]:443 timer:(keepalive,12sec,0) uid:1 ino:11 sk:1',
    [{ inode: 11, peer: '192.0.2.6' }],
  ],
  [
    'an interface',
    '0 0 [fe80::1]%eth0:4 [2001:db8::1]:443 ino:12 sk:1',
    [{ inode: 12, peer: '2001:db8::1' }],
  ],
  ['a socket without a file', '0 0 10.0.0.7:40000 192.0.2.6:443', []],
  ['nothing', '', []],
])('a line with %s', (_, line, expected) => {
  expect(parseHeld(line)).toEqual(expected)
})
