import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { confirmed, rolledBack, tell } from './events-fixture.ts'
import { startServer, until } from './own-node-fixture.ts'

const EVENTS = '/api/v1/namespaces/default/events'

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

test('no token: nothing is sent, and nothing is thrown', async () => {
  const server = await startServer()
  const { emit, errors } = tell(server)
  await rm(path.join(server.serviceAccountDir, '..data'))
  emit(rolledBack)
  await until(() => expect(errors).toMatchObject([{ failure: 'credentials' }]))
  expect(server.requests).toEqual([])
})
