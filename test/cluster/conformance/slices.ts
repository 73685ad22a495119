import { expect, test } from 'vitest'
import { METADATA_LIST, refusal } from './suite.ts'
import type { Suite } from './suite.ts'
import { USERS } from './target.ts'

/** EndpointSlices: namespaced objects, chosen by label, with rights for a namespace. */
export function slicesConform(suite: Suite): void {
  const { asAdmin, asAgent, call, watch } = suite
  let count = 0

  /** A slice of a Service of a new name. */
  async function createSlice() {
    count += 1
    const service = `service-${count}`
    const name = `${service}-5z2v9`
    const made = await asAdmin('POST', slicesIn(OWN), slice(name, service))
    expect(made.status).toBe(201)
    return { name, service, version: made.body.metadata?.resourceVersion ?? '' }
  }

  const change = async (name: string, content: unknown) =>
    call('PATCH', `${slicesIn(OWN)}/${name}`, {
      contentType: 'application/merge-patch+json',
      body: content,
    })

  test('LIST by the name of a Service: its slices in this namespace and no other', async () => {
    const { name, service } = await createSlice()
    await createSlice()
    const { status, body } = await call('GET', of(OWN, service))
    expect(status).toBe(200)
    expect(body).toMatchObject({
      kind: 'EndpointSliceList',
      apiVersion: 'discovery.k8s.io/v1',
      items: [slice(name, service)],
    })
    expect(body).toMatchObject({ items: [{ metadata: { namespace: OWN, generation: 1 } }] })
    expect(body.items?.[0]).not.toHaveProperty('kind')
    expect((await call('GET', of('default', service))).body.items).toEqual([])
  })

  test('LIST of names and versions, out of the cache', async () => {
    const { name, service, version } = await createSlice()
    // The cache may lag behind for a moment.
    const names = async () =>
      (await call('GET', `${of(OWN, service)}&resourceVersion=0`, { accept: METADATA_LIST })).body
    await expect.poll(async () => (await names()).items?.length).toBe(1)
    const body = await names()
    expect(body).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: [{ metadata: { name, resourceVersion: version } }],
    })
    expect(body.items?.[0]).not.toHaveProperty('endpoints')
  })

  test('GET of one, out of the cache', async () => {
    const { name, service } = await createSlice()
    const get = async () => call('GET', `${slicesIn(OWN)}/${name}?resourceVersion=0`)
    await expect.poll(async () => (await get()).status).toBe(200)
    expect((await get()).body).toMatchObject({ kind: 'EndpointSlice', ...slice(name, service) })
  })

  test('WATCH by the name of a Service: whole slices, and those of no other Service', async () => {
    const { name, service, version } = await createSlice()
    const watching = await watch(`${of(OWN, service)}&resourceVersion=${version}&timeoutSeconds=10`)
    await createSlice()
    await change(name, { endpoints: [{ addresses: ['10.88.0.12'] }] })
    expect(await watching.next()).toMatchObject({
      type: 'MODIFIED',
      object: { kind: 'EndpointSlice', addressType: 'IPv4', endpoints: [{ addresses: ['10.88.0.12'] }] },
    })
    await asAdmin('DELETE', `${slicesIn(OWN)}/${name}`)
    expect(await watching.next()).toMatchObject({ type: 'DELETED', object: { metadata: { name } } })
    watching.stop()
  })

  test('a bookmark has the fields of a slice, with nothing in them', async () => {
    const { service, version } = await createSlice()
    const query = `resourceVersion=${version}&allowWatchBookmarks=true&timeoutSeconds=4`
    const watching = await watch(`${of(OWN, service)}&${query}`)
    await createSlice()
    const [bookmark] = await watching.rest()
    expect(bookmark).toMatchObject({
      type: 'BOOKMARK',
      object: { kind: 'EndpointSlice', addressType: '', endpoints: null, ports: null },
    })
  })

  test('the generation counts changes of the content and of labels, not of annotations', async () => {
    const { name } = await createSlice()
    const annotated = await change(name, { metadata: { annotations: { a: 'b' } } })
    expect(annotated.body).toMatchObject({ metadata: { generation: 1 } })
    const labelled = await change(name, { metadata: { labels: { a: 'b' } } })
    expect(labelled.body).toMatchObject({ metadata: { generation: 2 } })
    const changed = await change(name, { endpoints: [{ addresses: ['10.88.0.13'] }] })
    expect(changed.body).toMatchObject({ metadata: { generation: 3 } })
  })

  test.each([
    ['list', 'kube-system', slicesIn('kube-system'), SLICES, 'in the namespace "kube-system"'],
    [
      'watch',
      'kube-system',
      `${slicesIn('kube-system')}?watch=true`,
      SLICES,
      'in the namespace "kube-system"',
    ],
    ['list', 'all namespaces', '/apis/discovery.k8s.io/v1/endpointslices', SLICES, 'at the cluster scope'],
    ['get', 'default', `${slicesIn('default')}/none`, `${SLICES} "none"`, 'in the namespace "default"'],
  ])('a Role of one namespace gives no right to %s in %s: 403', async (verb, _, path, object, where) => {
    const why =
      `User "${USERS.agent}" cannot ${verb} resource "endpointslices" in API group "discovery.k8s.io" ` +
      where
    expect(refusal(await asAgent('GET', path))).toEqual([403, 'Forbidden', `${object} is forbidden: ${why}`])
  })
}

const OWN = 'node-firewall'
const SLICES = 'endpointslices.discovery.k8s.io'
const SERVICE_NAME = 'kubernetes.io/service-name'

function slice(name: string, service: string) {
  return {
    metadata: { name, labels: { [SERVICE_NAME]: service } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.88.0.11'], conditions: { ready: true } }],
    ports: [{ name: 'https', protocol: 'TCP', port: 6443 }],
  }
}

function slicesIn(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
}

function of(namespace: string, service: string): string {
  return `${slicesIn(namespace)}?labelSelector=${encodeURIComponent(`${SERVICE_NAME}=${service}`)}`
}
