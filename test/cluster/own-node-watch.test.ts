import { expect, test } from 'vitest'
import type { GetAccess } from '../../agent/cluster/access.ts'
import type { ApiServer } from './api-server.ts'
import { NODES } from './api-server/resources.ts'
import { NODE, connect, hurriedClock, startServer, steppedClock, until, watch } from './own-node-fixture.ts'
import { accessTo } from './probes-fixture.ts'

test('a watch shows the Node as it is, and then each change', async () => {
  const server = await startServer()
  const { nodes, errors } = watch(connect(server))
  await until(() => expect(nodes).toMatchObject([{ name: NODE, labels: { pool: 'web' } }]))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'db' } })
  server.changeNode(NODE, { annotations: { 'node-firewall.io/mode': 'off' } })
  await until(() => expect(nodes.length).toBe(3))
  expect(nodes[1]?.labels).toEqual({ pool: 'db' })
  expect(nodes[2]?.annotations).toMatchObject({ 'node-firewall.io/mode': 'off' })
  expect(errors).toEqual([])
})

test('it asks for metadata of this Node, with bookmarks, and not for ever', async () => {
  const server = await startServer()
  watch(connect(server))
  await watching(server)
  const [read, request] = server.requests
  expect(read?.path).toBe(`/api/v1/nodes/${NODE}`)
  expect(read?.headers['accept']).toContain('as=PartialObjectMetadata;')
  expect(request?.headers['accept']).toContain('as=PartialObjectMetadata;')
  expect(Object.fromEntries(request?.query ?? [])).toEqual({
    watch: 'true',
    fieldSelector: `metadata.name=${NODE}`,
    allowWatchBookmarks: 'true',
    resourceVersion: '0',
    timeoutSeconds: '300',
  })
})

test("the kubelet's news in the status are no news", async () => {
  const server = await startServer()
  const { nodes } = watch(connect(server))
  await watching(server)
  server.store.replace(NODES, {
    ...server.getNode(NODE),
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  })
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.length).toBe(2))
  expect(nodes[1]?.labels).toEqual({ pool: 'db' })
})

test('a watch that was cut goes on from the last version, and misses nothing', async () => {
  const server = await startServer()
  const { clock, step } = steppedClock()
  const { nodes, errors } = watch(connect(server, { clock }))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.length).toBe(2))
  const seen = String(server.store.version())
  server.faults.cutWatches()
  await notWatching(server)
  server.changeNode(NODE, { labels: { pool: 'cache' } })
  await until(() => {
    step()
    expect(nodes).toHaveLength(3)
  })
  expect(server.requests.map(({ verb }) => verb)).toEqual(['get', 'watch', 'watch'])
  expect(server.requests.at(-1)?.query.get('resourceVersion')).toBe(seen)
  expect(errors).toEqual([])
})

test('of watches that are cut before their time each comes back at another moment', async () => {
  const server = await startServer()
  let now = 0
  const stepped = steppedClock()
  const clock = { ...stepped.clock, now: () => now, random: () => 0.5 }
  const { nodes } = watch(connect(server, { clock }))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.length).toBe(2))
  server.faults.cutWatches()
  await until(() => expect(stepped.waits).toEqual([600 + 5_000]))
  stepped.step()
  await watching(server)
  now += 450_000
  server.sendBookmarks()
  server.faults.endWatches()
  await until(() => expect(stepped.waits.slice(1)).toEqual([600]))
})

test('a watch that ends in order goes on from its last bookmark', async () => {
  const server = await startServer({ real: false })
  watch(connect(server))
  await watching(server)
  server.createNode('worker-2')
  const version = String(server.store.version())
  server.sendBookmarks()
  server.faults.endWatches()
  await until(() => expect(verbs(server, 'watch')).toBe(2))
  expect(server.requests.at(-1)?.query.get('resourceVersion')).toBe(version)
  expect(verbs(server, 'get')).toBe(1)
})

test('410: what the server has forgotten is read anew, without an error', async () => {
  const server = await startServer()
  const { nodes, errors } = watch(connect(server))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.length).toBe(2))
  server.faults.compact()
  server.changeNode(NODE, { labels: { pool: 'cache' } })
  await until(() => expect(nodes.length).toBe(3))
  server.faults.compact()
  server.faults.cutWatches()
  await until(() => expect(verbs(server, 'get')).toBe(2))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'last' } })
  await until(() => expect(nodes.at(-1)?.labels['pool']).toBe('last'))
  expect(nodes).toHaveLength(4)
  expect(errors).toEqual([])
})

test('a server that goes away and comes back: one report, and no change is lost', async () => {
  const server = await startServer()
  const { clock, waits, step } = steppedClock()
  const { nodes, errors } = watch(connect(server, { clock }))
  await watching(server)
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.length).toBe(2))
  server.faults.stop()
  server.changeNode(NODE, { labels: { pool: 'cache' } })
  for (let attempts = 1; attempts <= 5; attempts += 1) {
    await until(() => expect(waits.length).toBe(attempts))
    step()
  }
  await until(() => expect(waits.length).toBe(6))
  expect(errors.map(({ message }) => message)).toEqual(['WATCH /api/v1/nodes: no connection: ECONNREFUSED'])
  await server.faults.acceptConnections()
  await until(() => {
    step()
    expect(nodes).toHaveLength(3)
  })
  expect(nodes[2]?.labels).toEqual({ pool: 'cache' })
  expect(errors).toHaveLength(1)
})

test('a server that answers 503 is asked once per wait, and the waits grow', async () => {
  const server = await startServer()
  server.faults.answerNext(1000, { status: 503 })
  const { clock, waits, step } = steppedClock()
  const { errors } = watch(connect(server, { clock }))
  for (let attempts = 1; attempts <= 8; attempts += 1) {
    await until(() => expect(waits.length).toBe(attempts))
    expect(server.requests).toHaveLength(attempts)
    step()
  }
  // Half of the longest, as this clock's chance is always 0.
  expect(waits.slice(0, 7)).toEqual([800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
  expect(errors).toHaveLength(1)
})

test('a server that cuts each watch at once is no reason to hurry', async () => {
  const server = await startServer()
  const { clock, waits, step } = steppedClock()
  watch(connect(server, { clock }))
  for (let attempts = 1; attempts <= 4; attempts += 1) {
    await watching(server)
    server.faults.cutWatches()
    await until(() => expect(waits.length).toBe(attempts))
    step()
  }
  expect(waits).toEqual([800, 1600, 3200, 6400])
})

test('each new kind of failure is reported', async () => {
  const server = await startServer()
  server.faults.answerNext(2, { status: 500 })
  server.faults.answerNext(2, { status: 403 })
  server.faults.answerNext(1, { body: 'html' })
  const { nodes, errors } = watch(connect(server))
  await until(() => expect(nodes.length).toBe(1))
  expect(errors.map(({ status, failure }) => status ?? failure)).toEqual([500, 403, 'body'])
})

test('Retry-After comes before the next attempt', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { status: 429, retryAfterSeconds: 7 })
  const { clock, waits } = hurriedClock()
  const { nodes } = watch(connect(server, { clock }))
  await until(() => expect(nodes.length).toBe(1))
  expect(waits).toEqual([7800])
})

test('without the right to watch, the Node is seen once and the error says what is missing', async () => {
  const server = await startServer({ rules: [{ verbs: ['get'], resources: ['nodes'] }] })
  const { nodes, errors } = watch(connect(server))
  await until(() => expect(verbs(server, 'watch')).toBeGreaterThan(2))
  expect(nodes).toHaveLength(1)
  expect(errors).toHaveLength(1)
  expect(errors[0]?.message).toMatch(
    /^WATCH \/api\/v1\/nodes: 403 Forbidden .* cannot watch resource "nodes"/,
  )
})

test('a watch that says nothing, not even a bookmark, starts over with a look', async () => {
  const server = await startServer()
  const { nodes, errors } = watch(connect(server, { silenceMs: 50 }))
  await until(() => expect(verbs(server, 'get')).toBeGreaterThan(1))
  expect(nodes).toHaveLength(1)
  // Nothing has happened, and a real server has no bookmark for that.
  expect(errors).toEqual([])
})

test('a watch whose line never ends, though letters of it come all the time, starts over with a look', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { verb: 'watch', body: 'drip' })
  const { nodes, errors } = watch(connect(server, { silenceMs: 500 }))
  await until(() => expect(verbs(server, 'get')).toBeGreaterThan(1))
  expect(errors).toEqual([])
  server.changeNode(NODE, { labels: { pool: 'db' } })
  await until(() => expect(nodes.at(-1)?.labels['pool']).toBe('db'))
})

test('a network that swallows everything: the change is seen when it is over', async () => {
  const server = await startServer()
  const { nodes } = watch(connect(server, { silenceMs: 300, timeoutMs: 300 }))
  await watching(server)
  server.faults.goSilent()
  server.changeNode(NODE, { labels: { pool: 'db' } })
  const before = server.requests.length
  await until(() => expect(server.requests.length).toBeGreaterThan(before + 2))
  server.faults.speak()
  await until(() => expect(nodes.at(-1)?.labels['pool']).toBe('db'))
  expect(nodes).toHaveLength(2)
})

test('a token that ends during the watch is no trouble for the next one', async () => {
  const server = await startServer()
  const { errors } = watch(connect(server))
  await watching(server)
  await server.rotateToken()
  server.faults.cutWatches()
  await until(() => expect(verbs(server, 'watch')).toBe(2))
  await watching(server)
  expect(errors.filter(({ status }) => status === 401)).toEqual([])
})

test('a server that is watched and lies behind the one that was read takes nothing back', async () => {
  const [ahead, behind] = [await startServer({ real: false }), await startServer({ real: false })]
  // One Node, of which both know.
  for (const { store, getNode } of [ahead, behind]) {
    const { metadata, ...rest } = getNode(NODE)
    store.replace(NODES, { ...rest, metadata: { ...metadata, uid: 'one' } })
  }
  const annotations = { 'node-firewall.io/mode': 'off' }
  for (const pool of ['db', 'cache', 'web']) ahead.changeNode(NODE, { labels: { pool }, annotations })
  let asked = 0
  const getAccess: GetAccess = async (refused) => {
    asked += 1
    return accessTo(asked === 1 ? ahead : behind).getAccess(refused)
  }
  const { nodes, errors } = watch(connect(behind, { getAccess }))
  await watching(behind)
  for (const pool of ['db', 'cache', 'web', 'last'])
    behind.changeNode(NODE, { labels: { pool }, annotations })
  await until(() => expect(nodes.at(-1)?.labels).toEqual({ pool: 'last' }))
  expect(nodes.map(({ annotations: each }) => each['node-firewall.io/mode'])).toEqual(['off', 'off'])
  expect(errors).toEqual([])
})

test('a Node that is deleted is reported once; one made again is seen', async () => {
  const server = await startServer()
  const { nodes, errors } = watch(connect(server))
  await watching(server)
  server.deleteNode(NODE)
  await until(() => expect(errors).toHaveLength(1))
  expect(errors[0]?.message).toBe(`GET /api/v1/nodes/${NODE}: 404 NotFound nodes "${NODE}" not found`)
  server.faults.compact()
  server.faults.endWatches()
  await until(() => expect(verbs(server, 'get')).toBe(2))
  await watching(server)
  server.createNode(NODE, { pool: 'web' }, { 'example.org/owner': 'infra' })
  await until(() => expect(nodes).toHaveLength(2))
  expect(errors).toHaveLength(1)
})

test('a handler that throws is a bug, and ends the watch', async () => {
  const server = await startServer()
  const handlers = {
    onNode() {
      throw new Error('a bug in the handler')
    },
    onError() {},
  }
  const ended = connect(server).watch(handlers, new AbortController().signal)
  await expect(ended).rejects.toThrow('a bug in the handler')
})

test('an aborted watch leaves no connection behind', async () => {
  const server = await startServer()
  const { stop, errors } = watch(connect(server))
  await watching(server)
  await stop()
  await notWatching(server)
  expect(errors).toEqual([])
})

async function watching(server: ApiServer): Promise<void> {
  await until(() => expect(server.openWatches()).toBe(1))
}

async function notWatching(server: ApiServer): Promise<void> {
  await until(() => expect(server.openWatches()).toBe(0))
}

function verbs(server: ApiServer, verb: string): number {
  return server.requests.filter((request) => request.verb === verb).length
}
