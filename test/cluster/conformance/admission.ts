import { beforeEach, expect, test } from 'vitest'
import { refusal } from './suite.ts'
import type { Suite } from './suite.ts'
import { AGENT_NODE } from './target.ts'
import type { CallOptions } from './http-client.ts'

/** What an agent may write, by the policies of manifests/base: to its own Node, little of it, and Events about it. */
export function admissionConforms(suite: Suite): void {
  const { asAdmin, asAgent, createNode, needs, tokens } = suite

  beforeEach(({ skip }) => needs(30, skip))

  const change = async (body: unknown, options: CallOptions = {}, name = AGENT_NODE) =>
    asAgent('PATCH', `/api/v1/nodes/${name}`, { contentType: MERGE, body, ...options })
  const asAdminChange = async (body: unknown) => change(body, { token: tokens().admin })

  test('the agent sets annotations of ours on its Node, and takes them off', async () => {
    const set = await change({ metadata: { annotations: STATE } })
    expect(set.status).toBe(200)
    expect(set.body.metadata?.annotations).toMatchObject(STATE)
    const { status, body } = await change({ metadata: { annotations: { 'node-firewall.io/state': null } } })
    expect(status).toBe(200)
    expect(body.metadata?.annotations ?? {}).not.toHaveProperty(['node-firewall.io/state'])
  })

  test('the agent takes our taint off its Node, and others stay', async () => {
    const others = [
      { key: 'example.org/a', value: 'b', effect: 'NoSchedule' },
      { key: 'example.org/a', effect: 'NoExecute' },
    ]
    await asAdminChange({ spec: { taints: [others[0], TAINT, others[1]] } })
    const body = [
      { op: 'test', path: '/spec/taints/1/key', value: TAINT.key },
      { op: 'remove', path: '/spec/taints/1' },
    ]
    const removed = await change(body, { contentType: 'application/json-patch+json' })
    expect(removed.status).toBe(200)
    expect(removed.body['spec']).toMatchObject({ taints: others })
    await asAdminChange({ spec: { taints: null } })
  })

  test('another Node than its own: 403 that names policy, binding and both Nodes', async () => {
    const { name } = await createNode()
    const answer = await change({ metadata: { annotations: STATE } }, {}, name)
    const why = denial('node', `an agent on node "${AGENT_NODE}" may not write to node "${name}"`)
    expect(refusal(answer)).toEqual([403, 'Forbidden', `nodes "${name}" is forbidden: ${why}`])
    expect(answer.body.details).toEqual({ name, kind: 'nodes', causes: [{ message: why }] })
    expect(answer.headers).not.toHaveProperty('x-content-type-options')
  })

  test.each<[string, unknown, string]>([
    ['another annotation', { metadata: { annotations: { 'example.org/a': 'b' } } }, NO_ANNOTATION],
    ['a label', { metadata: { labels: { 'node-firewall.io/a': 'b' } } }, NO_METADATA],
    ['a finalizer', { metadata: { finalizers: ['example.org/held'] } }, NO_METADATA],
    ['an owner', { metadata: { ownerReferences: [OWNER] } }, NO_METADATA],
    ['that pods may not come', { spec: { unschedulable: true } }, NO_SPEC],
    ['a taint', { spec: { taints: [TAINT] } }, NO_TAINT],
  ])('the agent may not write %s to its Node: 403', async (_name, body, why) => {
    await asAdminChange({ spec: { taints: null } })
    expect(refusal(await change(body))).toEqual([403, 'Forbidden', forbidden('node', why)])
    expect((await asAdmin('GET', `/api/v1/nodes/${AGENT_NODE}`)).body).not.toMatchObject(Object(body))
  })

  test('nor take off the taint of somebody else: 403', async () => {
    await asAdminChange({ spec: { taints: [{ key: 'example.org/a', effect: 'NoSchedule' }, TAINT] } })
    const answer = await change({ spec: { taints: [] } })
    expect(refusal(answer)).toEqual([403, 'Forbidden', forbidden('node', NO_TAINT)])
    await asAdminChange({ spec: { taints: null } })
  })

  test('a dry run is refused too', async () => {
    const options = { contentType: MERGE, body: { metadata: { labels: { a: 'b' } } } }
    const answer = await asAgent('PATCH', `/api/v1/nodes/${AGENT_NODE}?dryRun=All`, options)
    expect(refusal(answer)).toEqual([403, 'Forbidden', forbidden('node', NO_METADATA)])
  })

  test('a token of the same account that is bound to no pod: 403', async () => {
    const answer = await change({ metadata: { annotations: STATE } }, { token: tokens().unbound })
    const why = 'this token does not name the node of its pod (authentication.kubernetes.io/node-name)'
    expect(refusal(answer)).toEqual([403, 'Forbidden', forbidden('node', why)])
  })

  test('an admin writes what he likes', async () => {
    const metadata = { annotations: { 'example.org/a': 'b' }, labels: { 'example.org/a': 'b' } }
    const { status, body } = await asAdminChange({ metadata, spec: { unschedulable: true } })
    expect(status).toBe(200)
    expect(body).toMatchObject({ metadata, spec: { unschedulable: true } })
    const back = { 'example.org/a': null }
    await asAdminChange({ metadata: { annotations: back, labels: back }, spec: { unschedulable: null } })
  })

  test('an Event about another Node: 403, without a right or with it', async () => {
    const event = {
      metadata: { name: 'worker-2.about', namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'worker-2', uid: 'worker-2' },
      reportingComponent: 'node-firewall',
      reportingInstance: 'node-firewall-7gv9h',
    }
    const told = await asAgent('POST', EVENTS, { contentType: 'application/json', body: event })
    expect(refusal(told)).toEqual([403, 'Forbidden', forbidden('events', NO_EVENT, event.metadata.name)])
    expect((await asAdmin('POST', EVENTS, event)).status).toBe(201)
    const options = { contentType: MERGE, body: { count: 2 } }
    const raised = await asAgent('PATCH', `${EVENTS}/${event.metadata.name}`, options)
    expect(refusal(raised)).toEqual([403, 'Forbidden', forbidden('events', NO_EVENT, event.metadata.name)])
  })
}

const MERGE = 'application/merge-patch+json'
const EVENTS = '/api/v1/namespaces/default/events'
const STATE = { 'node-firewall.io/state': 'Off' }
const TAINT = { key: 'node-firewall.io/not-ready', effect: 'NoSchedule' }
const OWNER = { apiVersion: 'v1', kind: 'Node', name: 'a', uid: '00000000-0000-0000-0000-000000000000' }

const NO_ANNOTATION =
  'of the annotations of its Node, an agent may change those that begin with node-firewall.io/'
const NO_METADATA = 'an agent may change the annotations of its Node, and no other metadata'
const NO_SPEC = 'an agent may change the taints of its Node, and nothing else of its spec'
const NO_TAINT =
  'of the taints of its Node, an agent may take off node-firewall.io/not-ready, and put on none'
const NO_EVENT = `an agent on node "${AGENT_NODE}" may tell of that Node, as node-firewall, and of nothing else`

function denial(what: 'node' | 'events', why: string): string {
  const policy = `node-firewall-own-${what}`
  return `ValidatingAdmissionPolicy '${policy}' with binding '${policy}' denied request: ${why}`
}

function forbidden(what: 'node' | 'events', why: string, name = AGENT_NODE): string {
  return `${what === 'node' ? 'nodes' : 'events'} "${name}" is forbidden: ${denial(what, why)}`
}
