import { isDeepStrictEqual } from 'node:util'
import { NODES, apiVersion } from '../api-server/resources.ts'
import type { Resource } from '../api-server/resources.ts'
import { isRecord, readObject } from '../api-server/objects.ts'
import type { Store, Stored } from '../api-server/store.ts'
import { pause } from './sync-client.ts'
import type { SyncAnswer, SyncClient } from './sync-client.ts'

/**
 * What a kube-apiserver keeps, by the words of the model in memory. `admin` may do everything; Nodes that are made have
 * this status.
 */
export function createRealStore(admin: SyncClient, nodeStatus: object): RealStore {
  let floor = 0
  let compactions = 0

  const send = (method: string, path: string, body?: unknown) => {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const answer = admin.call(method, path, body === undefined ? {} : { body, contentType })
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.text}`)
    return answer
  }
  const version = () => Number(send('GET', `${MARKS}?limit=1`).body.metadata?.resourceVersion)
  /** The status is a resource of its own, which other requests leave alone. */
  const putStatus = (resource: Resource, path: string, object: Stored, status: unknown) =>
    isRecord(status) && !isDeepStrictEqual(status, object['status']) && Object.keys(status).length > 0
      ? objectOf(send('PATCH', `${path}/status`, { status }), resource)
      : object
  /** Waits until the server's cache has it too: requests for resourceVersion=0 are answered out of that. */
  const settled = (resource: Resource, object: Stored) => {
    const { namespace, name, resourceVersion } = object.metadata
    send('GET', `${pathOf(resource, namespace)}/${name}?resourceVersion=${resourceVersion}`)
    return object
  }

  return {
    version,
    get(resource, namespace, name) {
      const answer = admin.call('GET', `${pathOf(resource, namespace)}/${name}`)
      return answer.status === 404 ? undefined : objectOf(answer, resource)
    },
    list(resource, namespace) {
      const { body } = send('GET', pathOf(resource, namespace))
      return (body.items ?? []).map((item) => stored(item, resource))
    },
    create(resource, { metadata, ...draft }) {
      const { managedFields: _, ...own } = metadata
      const path = pathOf(resource, metadata.namespace)
      const more = resource === NODES ? { status: nodeStatus } : {}
      const made = objectOf(send('POST', path, { metadata: own, ...draft, ...more }), resource)
      return settled(resource, putStatus(resource, `${path}/${metadata.name}`, made, draft['status']))
    },
    replace(resource, { metadata, ...content }) {
      const { managedFields: _, ...own } = metadata
      const path = `${pathOf(resource, metadata.namespace)}/${metadata.name}`
      const changed = objectOf(send('PUT', path, { metadata: own, ...content }), resource)
      return settled(resource, putStatus(resource, path, changed, content['status']))
    },
    remove(resource, object) {
      const path = `${pathOf(resource, object.metadata.namespace)}/${object.metadata.name}`
      send('DELETE', path, { gracePeriodSeconds: 0 })
      while (admin.call('GET', `${path}?resourceVersion=0`).status !== 404) pause(5)
      return object
    },
    since: notHere,
    floor: () => floor,
    /** Only what is told of it: a real server keeps the last changes in memory, whatever etcd has forgotten. */
    compact() {
      compactions += 1
      if (compactions === 1) send('POST', MARKS, { metadata: { name: MARK } })
      const mark = send('PATCH', `${MARKS}/${MARK}`, { data: { compactions: String(compactions) } })
      floor = Number(mark.body.metadata?.resourceVersion)
    },
    onChange: notHere,
    patch(resource, { metadata }, change) {
      const path = `${pathOf(resource, metadata.namespace)}/${metadata.name}`
      settled(resource, objectOf(send('PATCH', path, change), resource))
    },
    empty(resource, namespace) {
      send('DELETE', pathOf(resource, namespace), { gracePeriodSeconds: 0 })
    },
  }
}

export type RealStore = Store & {
  patch(resource: Resource, object: Stored, patch: object): void
  /** Deletes all of them. */
  empty(resource: Resource, namespace: string | undefined): void
}

/** A collection that hardly anybody else writes to. */
const MARKS = '/api/v1/namespaces/kube-system/configmaps'
const MARK = 'node-firewall-compactions'

export function pathOf(resource: Resource, namespace: string | undefined): string {
  const root = resource.group === '' ? '/api' : '/apis'
  const at = namespace === undefined || !resource.namespaced ? '' : `/namespaces/${namespace}`
  return `${root}/${apiVersion(resource)}${at}/${resource.plural}`
}

function objectOf(answer: SyncAnswer, resource: Resource): Stored {
  if (answer.status >= 400) throw new Error(answer.text)
  return stored(answer.body, resource)
}

/** Items of a list carry no kind. */
function stored(value: object, resource: Resource): Stored {
  const object = readObject({ kind: resource.kind, apiVersion: apiVersion(resource), ...value })
  if (object === undefined) throw new Error(`this is no ${resource.kind}: ${JSON.stringify(value)}`)
  return object
}

function notHere(): never {
  throw new Error('a real server does not tell this: the test needs the model')
}
