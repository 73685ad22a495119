import { expect, onTestFinished, test } from 'vitest'
import { ApiError } from '../../agent/cluster/api-error.ts'
import { connectPeers } from '../../agent/cluster/peers.ts'
import type { Peers } from '../../agent/cluster/peers.ts'
import type { ApiServer } from './api-server.ts'
import { agents, createTime, lookAgain, settings, startCluster } from './facts-fixture.ts'
import type { Time } from './facts-fixture.ts'
import { until } from './own-node-fixture.ts'

const on = (...nodes: readonly string[]) => nodes.map((name) => ({ name, ready: true }))
const never = new AbortController().signal

/** Follows the peers until the end of the test. */
function follow(server: ApiServer, time: Time): { readonly peers: Peers; readonly errors: ApiError[] } {
  const peers = connectPeers({ ...settings(server), clock: time.clock })
  const controller = new AbortController()
  const errors: ApiError[] = []
  const ended = peers.watch((error) => errors.push(error), controller.signal)
  onTestFinished(async () => {
    controller.abort()
    await ended
  })
  return { peers, errors }
}

async function startPeers() {
  const server = await startCluster()
  const names = ['worker-1', 'worker-2']
  server.slices.put(agents('ipv4', ['10.88.0.11', '10.88.0.12'], { nodes: on(...names) }))
  server.slices.put(agents('ipv6', ['fd88::11', 'fd88::12'], { addressType: 'IPv6', nodes: on(...names) }))
  const time = createTime()
  const followed = follow(server, time)
  await until(() => expect(followed.peers.known()).toEqual(on(...names)))
  return { server, time, ...followed }
}

test('peers are the nodes of the agents, once each; while nothing changes they are the same array', async () => {
  const { server, time, peers } = await startPeers()
  const before = peers.known()
  await lookAgain(server, time)
  expect(peers.known()).toBe(before)
})

test('a pod that is not ready makes its node so, though the Service publishes it as ready', async () => {
  const { server, time, peers } = await startPeers()
  const nodes = [
    { name: 'worker-1', ready: true },
    { name: 'worker-2', ready: false },
  ]
  server.slices.put(agents('ipv4', ['10.88.0.11', '10.88.0.12'], { nodes }))
  server.slices.put(agents('ipv6', ['fd88::11', 'fd88::12'], { addressType: 'IPv6', nodes }))
  await lookAgain(server, time)
  await until(() => expect(peers.known()).toEqual(nodes))
  expect(await peers.list(never)).toEqual(nodes)
})

test('a node that vanishes stays for 10 minutes as one that is not ready; a list of now does not have it', async () => {
  const { server, time, peers } = await startPeers()
  server.slices.put(agents('ipv4', ['10.88.0.11'], { nodes: on('worker-1') }))
  server.slices.remove('node-firewall', 'ipv6')
  await lookAgain(server, time)
  const lingering = [...on('worker-1'), { name: 'worker-2', ready: false }]
  await until(() => expect(peers.known()).toEqual(lingering))
  expect(await peers.list(never)).toEqual(on('worker-1'))
  expect(server.requests.at(-1)?.query.get('resourceVersion')).toBeNull()
  await lookAgain(server, time)
  expect(peers.known()).toEqual(lingering)
  for (let looks = 0; looks < 20; looks += 1) await lookAgain(server, time)
  await until(() => expect(peers.known()).toEqual(on('worker-1')))
})

test('slices without any node change nothing', async () => {
  const { server, time, peers } = await startPeers()
  const before = peers.known()
  server.slices.put(agents('ipv4', []))
  server.slices.put(agents('ipv6', [], { addressType: 'IPv6' }))
  await lookAgain(server, time)
  await lookAgain(server, time)
  expect(peers.known()).toBe(before)
})

test('a peer is read with one GET of its metadata, from the cache if that will do', async () => {
  const { server, peers } = await startPeers()
  server.createNode('worker-2', { pool: 'web' }, { 'node-firewall.io/rollout': 'abc trying' })
  for (const how of ['cached', 'latest'] as const) {
    expect(await peers.read('worker-2', how, never)).toMatchObject({
      labels: { pool: 'web' },
      annotations: { 'node-firewall.io/rollout': 'abc trying' },
    })
    const request = server.requests.at(-1)
    expect([request?.verb, request?.path]).toEqual(['get', '/api/v1/nodes/worker-2'])
    expect(request?.headers['accept']).toContain('as=PartialObjectMetadata;')
    expect(request?.query.get('resourceVersion') ?? undefined).toBe(how === 'cached' ? '0' : undefined)
  }
})

test('a Node that is not there is gone; any other failure is one', async () => {
  const { server, peers } = await startPeers()
  expect(await peers.read('worker-9', 'latest', never)).toBe('gone')
  server.faults.answerNext(1, { status: 503, verb: 'get' })
  await expect(peers.read('worker-1', 'latest', never)).rejects.toThrow(ApiError)
})
