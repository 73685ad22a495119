import { expect, test } from 'vitest'
import { refusal } from './suite.ts'
import type { Suite } from './suite.ts'
import { USERS } from './target.ts'

/** The Lease of the kubelet, the log that comes from it, the Service of the cluster's DNS. */
export function lifelinesConform(suite: Suite): void {
  const { asAdmin, asAgent, tokens } = suite
  let count = 0

  /** A pod of a new name, on a node whose kubelet has this port on loopback. */
  async function createPod(port: number) {
    count += 1
    const name = `log-${count}`
    const status = {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    }
    expect((await asAdmin('POST', '/api/v1/nodes', { metadata: { name }, status })).status).toBe(201)
    const spec = { nodeName: name, containers: [{ name: 'agent', image: 'none' }] }
    expect((await asAdmin('POST', PODS, { metadata: { name }, spec })).status).toBe(201)
    return name
  }

  test('GET of a Lease: when it was renewed, to the microsecond', async () => {
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 40, renewTime: '2026-11-21T03:49:08.567129Z' }
    expect((await asAdmin('POST', LEASES, { metadata: { name: 'leased' }, spec })).status).toBe(201)
    const { status, body } = await asAgent('GET', `${LEASES}/leased`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', spec })
  })

  test('GET of a Lease that is not there: 404 with the group', async () => {
    expect(refusal(await asAgent('GET', `${LEASES}/none`))).toEqual([
      404,
      'NotFound',
      'leases.coordination.k8s.io "none" not found',
    ])
  })

  test.each([
    ['list', 'GET', LEASES, LEASE, 'leases', IN_LEASES],
    ['patch', 'PATCH', `${LEASES}/none`, `${LEASE} "none"`, 'leases', IN_LEASES],
    ['get', 'GET', `${SERVICES}/other`, 'services "other"', 'services', IN_KUBE_SYSTEM],
    ['list', 'GET', SERVICES, 'services', 'services', IN_KUBE_SYSTEM],
    ['get', 'GET', `${PODS}/none`, 'pods "none"', 'pods', 'API group "" in the namespace "node-firewall"'],
  ])('the agent may not %s: %s %s is 403', async (verb, method, path, object, resource, where) => {
    const why = `User "${USERS.agent}" cannot ${verb} resource "${resource}" in ${where}`
    expect(refusal(await asAgent(method, path))).toEqual([403, 'Forbidden', `${object} is forbidden: ${why}`])
  })

  test('a Role with resourceNames allows GET of that Service', async () => {
    expect((await asAgent('GET', `${SERVICES}/kube-dns`)).status).toBe(404)
    const spec = {
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      ports: [{ name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 }],
    }
    expect((await asAdmin('POST', SERVICES, { metadata: { name: 'kube-dns' }, spec })).status).toBe(201)
    expect((await asAgent('GET', `${SERVICES}/kube-dns`)).body).toMatchObject({ kind: 'Service', spec })
  })

  test('the log of a pod whose kubelet does not listen: 500 without a reason, and no priority', async () => {
    const name = await createPod(1)
    const answer = await asAgent('GET', `${PODS}/${name}/log?container=agent&tailLines=1&limitBytes=1`)
    const url = `https://127.0.0.1:1/containerLogs/node-firewall/${name}/agent?limitBytes=1&tailLines=1`
    expect(refusal(answer)).toEqual([
      500,
      undefined,
      `Get "${url}": dial tcp 127.0.0.1:1: connect: connection refused`,
    ])
    expect(answer.headers).not.toHaveProperty('x-kubernetes-pf-flowschema-uid')
  })

  test('the log of a container that the pod does not have: 400', async () => {
    const name = await createPod(1)
    const answer = await asAgent('GET', `${PODS}/${name}/log?container=nope`)
    expect(refusal(answer)).toEqual([400, 'BadRequest', `container nope is not valid for pod ${name}`])
  })

  test('the log of a pod that is not there: 404', async () => {
    const answer = await asAgent('GET', `${PODS}/none/log`)
    expect(refusal(answer)).toEqual([404, 'NotFound', 'pods "none" not found'])
  })

  test('the log of a pod is a resource of its own for RBAC', async () => {
    const answer = await asAgent('GET', `${PODS}/none/log`, { token: tokens().nobody })
    const where = 'API group "" in the namespace "node-firewall"'
    const why = `User "${USERS.nobody}" cannot get resource "pods/log" in ${where}`
    expect(refusal(answer)).toEqual([403, 'Forbidden', `pods "none" is forbidden: ${why}`])
    expect(answer.body.details).toEqual({ name: 'none', kind: 'pods' })
  })
}

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
const LEASE = 'leases.coordination.k8s.io'
const IN_LEASES = 'API group "coordination.k8s.io" in the namespace "kube-node-lease"'
const SERVICES = '/api/v1/namespaces/kube-system/services'
const IN_KUBE_SYSTEM = 'API group "" in the namespace "kube-system"'
const PODS = '/api/v1/namespaces/node-firewall/pods'
