import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ApiError } from '../../agent/cluster/api-error.ts'
import type { ApiServer } from './api-server.ts'
import { NODE, connect, startServer, until } from './own-node-fixture.ts'

const NODE_PATH = `/api/v1/nodes/${NODE}`

test('reads labels and annotations, and asks for no more than metadata', async () => {
  const server = await startServer()
  expect(await connect(server).read()).toEqual({
    name: NODE,
    uid: server.getNode(NODE).metadata.uid,
    labels: { pool: 'web' },
    annotations: { 'example.org/owner': 'infra' },
    resourceVersion: server.getNode(NODE).metadata.resourceVersion,
  })
  const [request] = server.requests
  expect(request).toMatchObject({
    method: 'GET',
    path: NODE_PATH,
    headers: { 'user-agent': 'node-firewall' },
  })
  expect(request?.headers['accept']).toContain('as=PartialObjectMetadata;')
})

test('a patch sends what it is given, and nothing else', async () => {
  const server = await startServer()
  const changes = { 'node-firewall.io/state': 'Enforcing', 'node-firewall.io/message': null }
  const node = await connect(server).patchAnnotations(changes)
  expect(node?.annotations).toEqual({ 'example.org/owner': 'infra', 'node-firewall.io/state': 'Enforcing' })
  const [request] = server.requests
  expect(request).toMatchObject({ method: 'PATCH', path: NODE_PATH, status: 200 })
  expect(request?.query.toString()).toBe('fieldManager=node-firewall')
  expect(request?.headers['content-type']).toBe('application/merge-patch+json')
  expect(JSON.parse(request?.body ?? '')).toEqual({ metadata: { annotations: changes } })
})

test('a patch with null removes an annotation', async () => {
  const server = await startServer()
  server.changeNode(NODE, { annotations: { 'example.org/owner': null, 'node-firewall.io/state': 'Off' } })
  const node = await connect(server).patchAnnotations({ 'node-firewall.io/state': null })
  expect(node?.annotations).toEqual({})
  expect(server.getNode(NODE).metadata.annotations).toBeUndefined()
})

test('nothing is sent when there is nothing to change', async () => {
  const server = await startServer()
  expect(await connect(server).patchAnnotations({})).toBeUndefined()
  expect(server.requests).toEqual([])
})

test('a patch that failed is not sent again: the caller has a budget', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { status: 500 })
  const error = await failure(connect(server).patchAnnotations({ a: 'b' }))
  expect(error.message).toBe(
    `PATCH ${NODE_PATH}: 500 InternalError Internal error occurred: etcdserver: request timed out`,
  )
  expect(statuses(server)).toEqual([500])
})

test('403 names the verb and the object', async () => {
  const server = await startServer({ rules: [] })
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({
    attempted: `GET ${NODE_PATH}`,
    failure: 'answer',
    status: 403,
    reason: 'Forbidden',
  })
  expect(error.message).toMatch(/nodes "worker-1" is forbidden: User "system:.*" cannot get resource "nodes"/)
})

test('404: there is no such Node', async () => {
  const server = await startServer()
  const error = await failure(connect(server, { nodeName: 'worker-2' }).read())
  expect(error.message).toBe('GET /api/v1/nodes/worker-2: 404 NotFound nodes "worker-2" not found')
})

test('409 and 422 say why', async () => {
  const server = await startServer()
  const error = await failure(connect(server).patchAnnotations({ 'bad key': 'x' }))
  expect(error).toMatchObject({ status: 422, reason: 'Invalid' })
  expect(error.message).toContain('metadata.annotations: Invalid value: "bad key"')
  server.faults.answerNext(1, { status: 409 })
  expect(await failure(connect(server).patchAnnotations({ a: 'b' }))).toMatchObject({
    status: 409,
    reason: 'Conflict',
  })
})

test('429 tells when to come back, though its body is plain text', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { status: 429, retryAfterSeconds: 7 })
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({ status: 429, reason: undefined, retryAfterSeconds: 7 })
  expect(error.message).toBe(`GET ${NODE_PATH}: 429 Too many requests, please try again later.`)
})

test('half a body: the answer broke off', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { body: 'half' })
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({ failure: 'connection', status: undefined })
  expect(error.message).toBe(`GET ${NODE_PATH}: the answer broke off`)
  expect(error.cause).toMatchObject({ code: 'ECONNRESET' })
})

test('a body that is not JSON is shown', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { body: 'html' })
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({ failure: 'body' })
  expect(error.message).toBe(`GET ${NODE_PATH}: the answer is no JSON: <html>Please log in</html>`)
})

test('an answer that does not come in time', async () => {
  const server = await startServer()
  server.faults.goSilent()
  const error = await failure(connect(server, { timeoutMs: 50 }).read())
  expect(error).toMatchObject({ failure: 'timeout' })
  expect(error.message).toBe(`GET ${NODE_PATH}: nothing came for 0.05 s`)
})

test('nobody listens', async () => {
  const server = await startServer()
  server.faults.refuseConnections()
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({ failure: 'connection', status: undefined })
  expect(error.message).toBe(`GET ${NODE_PATH}: no connection: ECONNREFUSED`)
})

test('each read opens a new connection: an old one would prove nothing', async () => {
  const server = await startServer()
  const ownNode = connect(server)
  await ownNode.read()
  await ownNode.read()
  expect(new Set(server.requests.map(({ clientPort }) => clientPort)).size).toBe(2)
})

test('no token: nothing is sent', async () => {
  const server = await startServer()
  await rm(path.join(server.serviceAccountDir, '..data'))
  const error = await failure(connect(server).read())
  expect(error).toMatchObject({ failure: 'credentials', cause: { code: 'ENOENT' } })
  expect(error.message).toContain('reading the credentials: ENOENT')
  expect(server.requests).toEqual([])
})

test('an aborted request ends with the reason of its signal', async () => {
  const server = await startServer()
  server.faults.goSilent()
  const controller = new AbortController()
  const reading = connect(server).read(controller.signal)
  await until(() => expect(server.requests).toHaveLength(1))
  controller.abort(new Error('the agent stops'))
  await expect(reading).rejects.toThrow('the agent stops')
})

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  )
  if (error instanceof ApiError) return error
  throw error
}

function statuses(server: ApiServer): (number | undefined)[] {
  return server.requests.map(({ status }) => status)
}
