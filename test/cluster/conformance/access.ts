import { expect, test } from 'vitest'
import { refusal } from './suite.ts'
import type { Suite } from './suite.ts'
import { USERS } from './target.ts'

/** Who asks, and where the path leads. */
export function accessConforms(suite: Suite): void {
  const { asAdmin, asAgent, call, createNode, tokens } = suite

  test('a token that is none: 401, and no word on why', async () => {
    const answer = await call('GET', '/api/v1/nodes/none', { token: 'not-a-token' })
    expect(refusal(answer)).toEqual([401, 'Unauthorized', 'Unauthorized'])
    expect(answer.body).not.toHaveProperty('details')
    expect(answer.headers).not.toHaveProperty('www-authenticate')
    expect(answer.headers).not.toHaveProperty('x-kubernetes-pf-flowschema-uid')
  })

  test('no token at all: the user is system:anonymous', async () => {
    const answer = await call('GET', '/api/v1/nodes/none', { token: undefined })
    const why = 'User "system:anonymous" cannot get resource "nodes" in API group "" at the cluster scope'
    expect(refusal(answer)).toEqual([403, 'Forbidden', `nodes "none" is forbidden: ${why}`])
  })

  test.each([
    ['GET', '/api/v1/nodes/none', 'nodes "none"', 'get', 'nodes', 'API group "" at the cluster scope'],
    ['PATCH', '/api/v1/nodes/none', 'nodes "none"', 'patch', 'nodes', 'API group "" at the cluster scope'],
    ['GET', '/api/v1/nodes', 'nodes', 'list', 'nodes', 'API group "" at the cluster scope'],
    ['GET', `${ONE}&watch=true`, 'nodes "none"', 'watch', 'nodes', 'API group "" at the cluster scope'],
    ['GET', SLICES, SLICE_NAME, 'list', 'endpointslices', IN_KUBE_SYSTEM],
  ])(
    '%s %s without RBAC: 403 that names verb and object',
    async (method, path, object, verb, resource, where) => {
      const answer = await call(method, path, { token: tokens().nobody })
      const why = `User "${USERS.nobody}" cannot ${verb} resource "${resource}" in ${where}`
      expect(refusal(answer)).toEqual([403, 'Forbidden', `${object} is forbidden: ${why}`])
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
    },
  )

  test.each([
    ['list', 'GET', '/api/v1/nodes', 'nodes', 'nodes', CLUSTER],
    ['create', 'POST', '/api/v1/nodes', 'nodes', 'nodes', CLUSTER],
    ['delete', 'DELETE', '/api/v1/nodes/worker-1', 'nodes "worker-1"', 'nodes', CLUSTER],
    ['patch', 'PATCH', '/api/v1/nodes/worker-1/status', 'nodes "worker-1"', 'nodes/status', CLUSTER],
    ['list', 'GET', '/api/v1/secrets', 'secrets', 'secrets', CLUSTER],
    ['list', 'GET', `${OWN}/secrets`, 'secrets', 'secrets', IN_OWN],
    ['get', 'GET', `${OWN}/secrets/any`, 'secrets "any"', 'secrets', IN_OWN],
    ['list', 'GET', '/api/v1/configmaps', 'configmaps', 'configmaps', CLUSTER],
    ['list', 'GET', `${OWN}/configmaps`, 'configmaps', 'configmaps', IN_OWN],
    ['get', 'GET', `${OWN}/configmaps/any`, 'configmaps "any"', 'configmaps', IN_OWN],
    ['get', 'GET', `${SYSTEM}/configmaps/any`, 'configmaps "any"', 'configmaps', IN_SYSTEM],
    ['get', 'GET', `${SYSTEM}/configmaps/${RULES}`, `configmaps "${RULES}"`, 'configmaps', IN_SYSTEM],
    ['create', 'POST', `${OWN}/configmaps`, 'configmaps', 'configmaps', IN_OWN],
    ['patch', 'PATCH', `${OWN}/configmaps/${RULES}`, `configmaps "${RULES}"`, 'configmaps', IN_OWN],
    ['delete', 'DELETE', `${OWN}/configmaps/${RULES}`, `configmaps "${RULES}"`, 'configmaps', IN_OWN],
    ['patch', 'PATCH', `${SYSTEM}/configmaps/any`, 'configmaps "any"', 'configmaps', IN_SYSTEM],
  ])('the agent may not %s: %s %s is 403', async (verb, method, path, object, resource, where) => {
    const why = `User "${USERS.agent}" cannot ${verb} resource "${resource}" in API group "" ${where}`
    expect(refusal(await asAgent(method, path))).toEqual([403, 'Forbidden', `${object} is forbidden: ${why}`])
  })

  test('authorization comes before routing: an unknown resource is 403 first', async () => {
    const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslicez'
    expect((await asAgent('GET', path)).status).toBe(403)
    const answer = await asAdmin('GET', path)
    expect(refusal(answer)).toEqual([404, 'NotFound', 'the server could not find the requested resource'])
    expect(answer.body.details).toEqual({})
  })

  test('an unknown API group: 404 in plain text', async () => {
    const { status, headers, text } = await asAdmin('GET', '/apis/node-firewall.io/v1/rulesets')
    expect([status, text]).toEqual([404, '404 page not found\n'])
    expect(headers['content-type']).toBe('text/plain; charset=utf-8')
  })

  test('an unknown subresource: 404', async () => {
    const { name } = await createNode()
    const answer = await asAdmin('GET', `/api/v1/nodes/${name}/nothing`)
    expect(refusal(answer)).toEqual([404, 'NotFound', 'the server could not find the requested resource'])
  })

  test('POST to a named Node: 405', async () => {
    const answer = await asAdmin('POST', '/api/v1/nodes/none', {})
    expect(refusal(answer)).toEqual([
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    ])
  })

  test('a Role with resourceNames allows LIST if, and only if, the field selector has that name', async () => {
    const token = tokens().narrow
    const path = '/api/v1/namespaces/default/configmaps'
    const status = async (query: string) => (await call('GET', path + query, { token })).status
    expect(await status('?fieldSelector=metadata.name%3Drulesets')).toBe(200)
    expect(await status('?fieldSelector=metadata.name%3Dother')).toBe(403)
    expect(await status('')).toBe(403)
    expect(await status('/other')).toBe(403)
    expect(await status('/rulesets')).toBe(404)
  })
}

const CLUSTER = 'at the cluster scope'
const OWN = '/api/v1/namespaces/node-firewall'
const IN_OWN = 'in the namespace "node-firewall"'
const SYSTEM = '/api/v1/namespaces/kube-system'
const IN_SYSTEM = 'in the namespace "kube-system"'
const RULES = 'node-firewall-rules'
const ONE = '/api/v1/nodes?fieldSelector=metadata.name%3Dnone'
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices'
const SLICE_NAME = 'endpointslices.discovery.k8s.io'
const IN_KUBE_SYSTEM = 'API group "discovery.k8s.io" in the namespace "kube-system"'
