import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { realClock } from '../../agent/cluster/clock.ts'
import { confirmed, rolledBack, tell } from './events-fixture.ts'
import { NODE, startServer, until } from './own-node-fixture.ts'
import { POD } from './probes-fixture.ts'

const EVENTS = '/api/v1/namespaces/default/events'

test('an Event as the kubelet makes its own, so that kubectl shows it with the Node', async () => {
  const server = await startServer()
  tell(server).emit(rolledBack)
  await until(() => expect(server.objects.events()).toHaveLength(1))
  expect(server.objects.events()[0]).toMatchObject({
    metadata: { name: expect.stringMatching(/^worker-1\.[0-9a-f]{16}$/), namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: NODE, uid: NODE },
    ...rolledBack,
    source: { component: 'node-firewall', host: NODE },
    reportingComponent: 'node-firewall',
    reportingInstance: POD,
    firstTimestamp: '2026-11-21T03:33:55Z',
    lastTimestamp: '2026-11-21T03:33:55Z',
    count: 1,
  })
  expect(server.requests.map(({ method, path: to }) => `${method} ${to}`)).toEqual([`POST ${EVENTS}`])
})

test('the real uid of the Node, where it is known', async () => {
  const server = await startServer()
  const nodeUid = server.getNode(NODE).metadata.uid
  tell(server, { nodeUid }).emit(rolledBack)
  await until(() => expect(server.objects.events()).toMatchObject([{ involvedObject: { uid: nodeUid } }]))
})

test('what happens again raises the count of what is there', async () => {
  const server = await startServer()
  const { emit, kept } = tell(server)
  emit(rolledBack)
  await until(() => expect(kept()).toEqual([[rolledBack.message, 1]]))
  emit(rolledBack)
  await until(() => expect(kept()).toEqual([[rolledBack.message, 2]]))
  emit(confirmed(1))
  emit(rolledBack)
  emit(rolledBack)
  await until(() =>
    expect(kept()).toEqual([
      [rolledBack.message, 4],
      [confirmed(1).message, 1],
    ]),
  )
  expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST', 'PATCH'])
})

test('an Event that is over after its hour is made anew', async () => {
  const server = await startServer()
  const { emit, kept, errors } = tell(server)
  emit(rolledBack)
  await until(() => expect(kept()).toHaveLength(1))
  server.objects.removeEvents()
  emit(rolledBack)
  await until(() => expect(kept()).toEqual([[rolledBack.message, 1]]))
  emit(rolledBack)
  await until(() => expect(kept()).toEqual([[rolledBack.message, 2]]))
  expect(errors).toEqual([])
})

test('while the API server is away events wait; afterwards each arrives once, in order, with its own time', async () => {
  const server = await startServer()
  const { emit, kept, errors, waits } = tell(server)
  server.faults.refuseConnections()
  emit(confirmed(1))
  emit(rolledBack)
  emit(rolledBack)
  await until(() => expect(waits.length).toBeGreaterThan(20))
  emit(confirmed(2))
  await server.faults.acceptConnections()
  await until(() =>
    expect(kept()).toEqual([
      [confirmed(1).message, 1],
      [rolledBack.message, 2],
      [confirmed(2).message, 1],
    ]),
  )
  expect(server.objects.events().find(({ count }) => count === 2)).toMatchObject({
    firstTimestamp: '2026-11-21T03:33:55Z',
  })
  expect(errors.map(({ message }) => message)).toEqual([`POST ${EVENTS}: no connection: ECONNREFUSED`])
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000)
})

test('of what waits only the newest is kept', async () => {
  const server = await startServer()
  const { emit, kept, waits } = tell(server)
  server.faults.refuseConnections()
  for (let number = 1; number <= 25; number += 1) emit(confirmed(number))
  await until(() => expect(waits.length).toBeGreaterThan(3))
  await server.faults.acceptConnections()
  await until(() => expect(kept()).toHaveLength(20))
  expect(kept()[0]).toEqual([confirmed(6).message, 1])
  expect(kept().at(-1)).toEqual([confirmed(25).message, 1])
})

test.each([
  ['500', { status: 500 }],
  ['503', { status: 503 }],
  ['429', { status: 429 }],
  ['half a body', { body: 'half' }],
  ['an answer that is lost', { body: 'none' }],
  ['an answer that is no JSON', { body: 'html' }],
] as const)('%s: the event arrives once all the same', async (_, fault) => {
  const server = await startServer()
  const { emit, kept, errors } = tell(server)
  server.faults.answerNext(2, fault)
  emit(rolledBack)
  await until(() => expect(errors).toHaveLength(1))
  emit(rolledBack)
  emit(confirmed(1))
  await until(() =>
    expect(kept()).toEqual([
      [rolledBack.message, 2],
      [confirmed(1).message, 1],
    ]),
  )
  expect(errors).toHaveLength(1)
})

test('a repetition whose answer is lost is counted once', async () => {
  const server = await startServer()
  const { emit, kept, errors } = tell(server)
  emit(rolledBack)
  await until(() => expect(kept()).toHaveLength(1))
  server.faults.answerNext(1, { body: 'none', verb: 'patch' })
  emit(rolledBack)
  await until(() => expect(errors).toHaveLength(1))
  emit(confirmed(1))
  await until(() =>
    expect(kept()).toEqual([
      [rolledBack.message, 2],
      [confirmed(1).message, 1],
    ]),
  )
})

test('a token that was rotated meanwhile', async () => {
  const server = await startServer()
  const { emit, kept, errors } = tell(server)
  server.faults.answerNext(1, { status: 401 })
  emit(rolledBack)
  await until(() => expect(kept()).toEqual([[rolledBack.message, 1]]))
  expect(errors).toEqual([])
})

test('429 says when to come back', async () => {
  const server = await startServer()
  const { emit, kept, waits } = tell(server)
  server.faults.answerNext(1, { status: 429, retryAfterSeconds: 7 })
  emit(rolledBack)
  await until(() => expect(kept()).toHaveLength(1))
  expect(waits).toEqual([7800])
})

test('without the right it asks less and less often, and says so once', async () => {
  const server = await startServer({ rules: [] })
  const { emit, errors, waits } = tell(server)
  emit(rolledBack)
  await until(() => expect(waits.length).toBeGreaterThan(12))
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringContaining(`POST ${EVENTS}: 403 Forbidden events is forbidden`),
  ])
  expect(Math.max(...waits)).toBe(150_000)
})

test('an event that the server refuses for good does not hold up the next', async () => {
  const server = await startServer()
  const { emit, kept, errors } = tell(server)
  server.faults.answerNext(1, { status: 422 })
  emit(rolledBack)
  emit(confirmed(1))
  await until(() => expect(kept()).toEqual([[confirmed(1).message, 1]]))
  expect(errors).toMatchObject([{ status: 422 }])
})

test('ten at once, then one a minute; repetitions meanwhile become one request', async () => {
  const server = await startServer()
  const { emit, kept, waits } = tell(server)
  for (let number = 1; number <= 12; number += 1) emit(confirmed(number))
  for (let times = 1; times < 50; times += 1) emit(confirmed(12))
  await until(() => expect(kept()).toHaveLength(12))
  expect(kept().at(-1)).toEqual([confirmed(12).message, 50])
  expect(server.requests).toHaveLength(12)
  expect(waits).toEqual([60_000, 60_000])
})

test('a long message is cut, and its line breaks are spaces', async () => {
  const server = await startServer()
  tell(server).emit({ ...rolledBack, message: `two\nlines ${'x'.repeat(5000)}` })
  await until(() => expect(server.objects.events()).toHaveLength(1))
  expect(server.objects.events()[0]?.['message']).toMatch(/^two lines x{990}…$/)
})

test('a Node whose name leaves no room for more', async () => {
  const server = await startServer()
  const nodeName = `n${'.n'.repeat(126)}`
  tell(server, { nodeName }).emit(rolledBack)
  await until(() => expect(server.objects.events()).toHaveLength(1))
  expect(server.objects.events()).toMatchObject([
    { metadata: { name: expect.stringMatching(/^node-firewall\./) }, involvedObject: { name: nodeName } },
  ])
})

test('no token: nothing is sent, and nothing is thrown', async () => {
  const server = await startServer()
  const { emit, errors } = tell(server)
  await rm(path.join(server.serviceAccountDir, '..data'))
  emit(rolledBack)
  await until(() => expect(errors).toMatchObject([{ failure: 'credentials' }]))
  expect(server.requests).toEqual([])
})

test('flush sends what waits, also out of a pause, and then nothing more is sent', async () => {
  const server = await startServer()
  const { emit, flush, kept, errors } = tell(server, { clock: realClock })
  server.faults.answerNext(1, { status: 429, retryAfterSeconds: 3600 })
  emit(rolledBack)
  await until(() => expect(errors).toHaveLength(1))
  emit(confirmed(1))
  await flush(20_000)
  expect(kept()).toEqual([
    [rolledBack.message, 1],
    [confirmed(1).message, 1],
  ])
  emit(confirmed(2))
  await flush(20_000)
  expect(server.requests).toHaveLength(3)
})

test('flush gives up after its time', async () => {
  const server = await startServer()
  const { emit, flush } = tell(server, { clock: realClock })
  server.faults.goSilent()
  emit(rolledBack)
  await until(() => expect(server.requests).toHaveLength(1))
  await flush(50)
  expect(server.objects.events()).toEqual([])
})

test('flush with nothing to send', async () => {
  const server = await startServer()
  await tell(server, { clock: realClock }).flush()
  expect(server.requests).toEqual([])
})
