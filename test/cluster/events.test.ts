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
  const nodeName = `n${'.n'.repeat(126)}`
  const server = await startServer({ node: nodeName })
  tell(server, { nodeName }).emit(rolledBack)
  await until(() => expect(server.objects.events()).toHaveLength(1))
  expect(server.objects.events()).toMatchObject([
    { metadata: { name: expect.stringMatching(/^node-firewall\./) }, involvedObject: { name: nodeName } },
  ])
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
