import { expect, onTestFinished, test } from 'vitest'
import type { ApiError } from '../../agent/cluster/api-error.ts'
import { kubeconfigAccess } from '../../agent/cluster/kubeconfig.ts'
import { connectNodes } from '../../agent/cluster/list-nodes.ts'
import type { NodesOptions } from '../../agent/cluster/list-nodes.ts'
import type { NodeMeta } from '../../agent/cluster/wire.ts'
import type { Rule } from './api-server/access-control.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'
import type { Options } from './cluster-server.ts'
import { NODES } from './api-server/resources.ts'
import { hurriedClock, until } from './own-node-fixture.ts'

async function startServer(nodes = 0, options: Options = {}): Promise<ApiServer> {
  const rules: readonly Rule[] = [{ verbs: ['list', 'watch'], resources: ['nodes'] }]
  const server = await startApiServer({ rules, ...options })
  onTestFinished(() => server.close())
  for (let number = 1; number <= nodes; number += 1) server.createNode(nameOf(number), { pool: 'web' })
  return server
}

function nameOf(number: number): string {
  return `worker-${String(number).padStart(4, '0')}`
}

function connect(server: ApiServer, options: Partial<NodesOptions> = {}) {
  const getAccess = kubeconfigAccess(server.kubeconfigFile)
  return connectNodes({ getAccess, clock: hurriedClock().clock, ...options })
}

function watch(server: ApiServer, options: Partial<NodesOptions> = {}) {
  const controller = new AbortController()
  const errors: ApiError[] = []
  const seen: (readonly NodeMeta[])[] = []
  const handlers = {
    onNodes: (nodes: ReadonlyMap<string, NodeMeta>) => void seen.push([...nodes.values()]),
    onError: (error: ApiError) => void errors.push(error),
  }
  const ended = connect(server, options).watch(handlers, controller.signal)
  onTestFinished(async () => {
    controller.abort()
    await ended
  })
  const names = () => seen.at(-1)?.map(({ name }) => name)
  return { seen, errors, names }
}

const lists = (server: ApiServer) => server.requests.filter(({ verb }) => verb === 'list')

test('all nodes come in pages of 500, as metadata only', async () => {
  const server = await startServer(1_201)
  const nodes = await connect(server).list()
  expect(nodes.map(({ name }) => name)).toEqual(
    Array.from({ length: 1_201 }, (_, index) => nameOf(index + 1)),
  )
  expect(lists(server).map(({ query }) => [query.get('limit'), query.has('continue')])).toEqual([
    ['500', false],
    ['500', true],
    ['500', true],
  ])
  for (const { headers } of server.requests) {
    expect(headers['accept']).toContain('as=PartialObjectMetadataList;')
  }
})

test('one page that is just full is followed by no other', async () => {
  const server = await startServer(500)
  expect(await connect(server).list()).toHaveLength(500)
  expect(server.requests).toHaveLength(1)
})

test('where the server forgets the first page before the second, all come in one answer', async () => {
  // Newer servers go on with a list out of memory, for minutes after etcd has forgotten it.
  const server = await startServer(600, { real: false })
  const getAccess = kubeconfigAccess(server.kubeconfigFile)
  const nodes = connect(server, {
    async getAccess(refused) {
      // The first page was answered, and the next one is about to be asked for.
      if (server.requests.length === 1) {
        server.createNode('late')
        server.faults.compact()
      }
      return getAccess(refused)
    },
  })
  const names = (await nodes.list()).map(({ name }) => name)
  expect(names).toHaveLength(601)
  expect(server.requests.map(({ status, query }) => [status, query.get('limit')])).toEqual([
    [200, '500'],
    [410, '500'],
    [200, null],
  ])
})

test('a selector and a name are left to the server', async () => {
  const server = await startServer(3)
  server.createNode('db-1', { pool: 'db' })
  const names = async (options: Partial<NodesOptions>) =>
    (await connect(server, options).list()).map(({ name }) => name)
  expect(await names({ labelSelector: 'pool in (db)' })).toEqual(['db-1'])
  expect(await names({ name: 'worker-0002' })).toEqual(['worker-0002'])
  expect(await names({ name: 'nobody' })).toEqual([])
})

test('a list fails at once', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { status: 500 })
  await expect(connect(server).list()).rejects.toThrow('LIST /api/v1/nodes: 500 InternalError')
})

test('a watch shows all nodes, in pages too, and then each that comes, changes and goes', async () => {
  const server = await startServer(501)
  const { seen, names, errors } = watch(server)
  await until(() => expect(server.openWatches()).toBe(1))
  expect(names()).toHaveLength(501)
  expect(lists(server)).toHaveLength(2)
  server.createNode('new')
  await until(() => expect(names()).toContain('new'))
  server.changeNode('new', { annotations: { 'node-firewall.io/state': 'Enforcing' } })
  await until(() =>
    expect(seen.at(-1)?.at(-1)?.annotations).toEqual({ 'node-firewall.io/state': 'Enforcing' }),
  )
  server.deleteNode('new')
  await until(() => expect(names()).not.toContain('new'))
  expect(errors).toEqual([])
})

test('a watch goes on from its last bookmark, and lists again what was forgotten', async () => {
  const server = await startServer(2, { real: false })
  const { names, errors } = watch(server)
  await until(() => expect(server.openWatches()).toBe(1))
  server.sendBookmarks()
  server.faults.endWatches()
  server.createNode('cut')
  await until(() => expect(names()).toContain('cut'))
  expect(lists(server)).toHaveLength(1)
  server.deleteNode('cut')
  await until(() => expect(names()).not.toContain('cut'))
  server.faults.compact()
  server.store.remove(NODES, server.getNode(nameOf(1)))
  server.faults.compact()
  server.faults.cutWatches()
  await until(() => expect(lists(server).length).toBeGreaterThan(1))
  await until(() => expect(names()).toEqual([nameOf(2)]))
  expect(errors).toEqual([])
})

test('a node that a label takes out of the selection is gone from the watch', async () => {
  const server = await startServer(2)
  const { names } = watch(server, { labelSelector: 'pool=web' })
  await until(() => expect(server.openWatches()).toBe(1))
  server.changeNode(nameOf(1), { labels: { pool: 'db' } })
  await until(() => expect(names()).toEqual([nameOf(2)]))
})
