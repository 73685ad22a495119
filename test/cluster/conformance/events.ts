import { expect, test } from 'vitest'
import { refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** Events of core/v1 about Nodes. */
export function eventsConform(suite: Suite): void {
  const { asAgent } = suite
  let count = 0

  const create = async (event: object, path = EVENTS) =>
    asAgent('POST', path, { contentType: 'application/json', body: event })
  const raise = async (name: string, change: unknown) =>
    asAgent('PATCH', `${EVENTS}/${name}`, { contentType: 'application/merge-patch+json', body: change })
  const newEvent = (namespace = 'default') => {
    count += 1
    return { ...event, metadata: { name: `worker-1.${count}`, namespace } }
  }

  test('POST with the rights of the agent: 201, with times to the second', async () => {
    const sent = newEvent()
    const { status, body } = await create(sent)
    expect(status).toBe(201)
    expect(body).toMatchObject({ kind: 'Event', apiVersion: 'v1', ...sent })
  })

  test('PATCH raises count and lastTimestamp, and the rest stays', async () => {
    const sent = newEvent()
    await create(sent)
    const change = { count: 2, lastTimestamp: '2026-11-21T03:34:05Z' }
    const { status, body } = await raise(sent.metadata.name, change)
    expect(status).toBe(200)
    expect(body).toMatchObject({ ...sent, ...change })
  })

  test('the same name again: 409 AlreadyExists', async () => {
    const sent = newEvent()
    await create(sent)
    const { name } = sent.metadata
    expect(refusal(await create(sent))).toEqual([409, 'AlreadyExists', `events "${name}" already exists`])
  })

  test('PATCH of one that is gone: 404', async () => {
    expect(refusal(await raise('worker-1.gone', { count: 2 }))).toEqual([
      404,
      'NotFound',
      'events "worker-1.gone" not found',
    ])
  })

  test('about a Node in another namespace than default: 422', async () => {
    const sent = newEvent('kube-system')
    const path = '/api/v1/namespaces/kube-system/events'
    const answer = await suite.asAdmin('POST', path, sent)
    const why = 'involvedObject.namespace: Invalid value: "": does not match event.namespace'
    expect(refusal(answer)).toEqual([422, 'Invalid', `Event "${sent.metadata.name}" is invalid: ${why}`])
  })

  test.each(['GET', 'DELETE'])('the agent may not %s one: 403', async (method) => {
    expect((await asAgent(method, `${EVENTS}/none`)).status).toBe(403)
  })
}

const EVENTS = '/api/v1/namespaces/default/events'

const event = {
  involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'worker-1', uid: 'worker-1' },
  type: 'Warning',
  reason: 'RolledBack',
  message: 'the kubelet was not reached',
  source: { component: 'node-firewall', host: 'worker-1' },
  reportingComponent: 'node-firewall',
  reportingInstance: 'node-firewall-7gv9h',
  firstTimestamp: '2026-11-21T03:33:55Z',
  lastTimestamp: '2026-11-21T03:33:55Z',
  count: 1,
}
