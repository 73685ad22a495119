import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connectClient } from '../../../agent/cluster/api-client.ts'
import { kubeconfigAccess } from '../../../agent/cluster/kubeconfig.ts'
import { letGo } from '../../../agent/cluster/let-go.ts'
import { kubeconfig } from '../api-server/credentials.ts'
import { refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** What an uninstall relies on: dependents of a namespace, and a deletion of this one and no other. */
export function uninstallConforms(suite: Suite): void {
  const { asAdmin, createNode, target } = suite
  let count = 0

  async function createNamespace() {
    count += 1
    const name = `uninstall-${count}`
    const { body } = await asAdmin('POST', '/api/v1/namespaces', { metadata: { name } })
    expect((await asAdmin('POST', CLUSTER_ROLES, { metadata: { name } })).status).toBe(201)
    return { name, uid: body.metadata?.uid, role: `${CLUSTER_ROLES}/${name}` }
  }

  async function connectAsAdmin() {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-conformance-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const file = join(folder, 'kubeconfig')
    const { url, caFile, tokens } = target()
    await writeFile(file, kubeconfig(url, caFile, tokens.admin))
    return connectClient({
      getAccess: kubeconfigAccess(file),
      userAgent: 'test',
      timeoutMs: 30_000,
      silenceMs: 10_000,
    })
  }

  test('letting go makes others depend on the namespace, and deletes it; twice is none the worse', async () => {
    const { name, uid, role } = await createNamespace()
    const client = await connectAsAdmin()
    await letGo(client, { namespace: name, with: [role, `${CLUSTER_ROLES}/none`] })
    const owner = { apiVersion: 'v1', kind: 'Namespace', name, uid }
    expect((await asAdmin('GET', role)).body).toMatchObject({ metadata: { ownerReferences: [owner] } })
    await letGo(client, { namespace: name, with: [role] })
    const { status, body } = await asAdmin('GET', `/api/v1/namespaces/${name}`)
    // It is there until a controller has emptied it, where there is one.
    if (status !== 404) expect(body.metadata).toHaveProperty('deletionTimestamp')
  })

  test('DELETE of another uid: 409, and it stays', async () => {
    const { name, uid } = await createNode()
    const path = `/api/v1/nodes/${name}`
    const preconditions = { uid: NO_UID }
    const answer = await asAdmin('DELETE', path, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions })
    const why = `the UID in the precondition (${NO_UID}) does not match the UID in record (${uid})`
    expect(refusal(answer)).toEqual([
      409,
      'Conflict',
      `Operation cannot be fulfilled on Node "${name}": ${why}. The object might have been deleted and then recreated`,
    ])
    expect((await asAdmin('GET', path)).status).toBe(200)
  })
}

const CLUSTER_ROLES = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
const NO_UID = '00000000-0000-0000-0000-000000000000'
