import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { apiVersion, qualifiedName } from './resources.ts'
import type { Resource } from './resources.ts'

export type Metadata = {
  name: string
  namespace?: string | undefined
  uid: string
  resourceVersion: string
  creationTimestamp: string
  generation?: number | undefined
  labels?: Record<string, string> | undefined
  annotations?: Record<string, string> | undefined
  /** Kept as it is given: the server does not write it. */
  managedFields?: readonly Record<string, unknown>[] | undefined
}

export type Stored = { kind: string; apiVersion: string; metadata: Metadata; [field: string]: unknown }

export type Draft = {
  metadata: Pick<Metadata, 'name' | 'namespace' | 'labels' | 'annotations' | 'managedFields'>
  [field: string]: unknown
}

export type Change = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly resource: Resource
  readonly object: Stored
  readonly before: Stored | undefined
  readonly version: number
}

export type Store = {
  /** The one counter that all resources share. */
  version(): number
  get(resource: Resource, namespace: string | undefined, name: string): Stored | undefined
  list(resource: Resource, namespace: string | undefined): Stored[]
  create(resource: Resource, draft: Draft): Stored
  /** Keeps the version, and tells nobody, when nothing is different. */
  replace(resource: Resource, object: Stored): Stored
  remove(resource: Resource, object: Stored): Stored
  /** What came after `version`; undefined when that is no longer known. */
  since(version: number): Change[] | undefined
  /** The oldest version to watch from. */
  floor(): number
  /** Forgets the past, as a restart of the server or a compaction does. */
  compact(): void
  onChange(listener: (change: Change) => void): () => void
}

export function createStore(now: () => Date = () => new Date()): Store {
  const objects = new Map<string, Stored>()
  const listeners = new Set<(change: Change) => void>()
  let history: Change[] = []
  // A cluster has done a lot before anybody comes along.
  let counter = 1000
  // Low versions are not too old as long as nothing has been forgotten.
  let floor = 0

  const commit = (type: Change['type'], resource: Resource, draft: Stored, before: Stored | undefined) => {
    counter += 1
    const object = withoutEmpty({
      ...draft,
      metadata: { ...draft.metadata, resourceVersion: String(counter) },
    })
    const key = keyOf(resource, object.metadata.namespace, object.metadata.name)
    if (type === 'DELETED') objects.delete(key)
    else objects.set(key, object)
    const change = { type, resource, object, before, version: counter }
    history.push(change)
    for (const listener of listeners) listener(change)
    return object
  }

  return {
    version: () => counter,
    get: (resource, namespace, name) => objects.get(keyOf(resource, namespace, name)),
    list: (resource, namespace) =>
      [...objects.entries()]
        .filter(([key]) => key.startsWith(prefixOf(resource, namespace)))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([, object]) => object),
    create(resource, draft) {
      const { name, namespace, labels, annotations, managedFields } = draft.metadata
      const creationTimestamp = now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')
      const metadata: Metadata = { name, uid: randomUUID(), resourceVersion: '', creationTimestamp }
      if (namespace !== undefined) metadata.namespace = namespace
      if (labels !== undefined) metadata.labels = labels
      if (annotations !== undefined) metadata.annotations = annotations
      if (managedFields !== undefined) metadata.managedFields = managedFields
      if (resource.counted !== undefined) metadata.generation = 1
      const object = { ...draft, kind: resource.kind, apiVersion: apiVersion(resource), metadata }
      return commit('ADDED', resource, object, undefined)
    },
    replace(resource, changed) {
      const object = withoutEmpty(changed)
      const before = objects.get(keyOf(resource, object.metadata.namespace, object.metadata.name))
      if (before !== undefined && isDeepStrictEqual(before, object)) return before
      return commit('MODIFIED', resource, withGeneration(resource, object, before), before)
    },
    remove: (resource, object) => commit('DELETED', resource, object, object),
    since: (version) => (version < floor ? undefined : history.filter((change) => change.version > version)),
    floor: () => floor,
    compact() {
      counter += 1
      floor = counter
      history = []
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function keyOf(resource: Resource, namespace: string | undefined, name: string): string {
  return [qualifiedName(resource), namespace ?? '', name].join('/')
}

function prefixOf(resource: Resource, namespace: string | undefined): string {
  return namespace === undefined ? `${qualifiedName(resource)}/` : keyOf(resource, namespace, '')
}

function withGeneration({ counted }: Resource, object: Stored, before: Stored | undefined): Stored {
  const { generation } = before?.metadata ?? {}
  if (before === undefined || generation === undefined || counted === undefined) return object
  const [was, is] = [before, object].map((each) => counted(each, each.metadata.labels))
  if (isDeepStrictEqual(was, is)) return object
  return { ...object, metadata: { ...object.metadata, generation: generation + 1 } }
}

/** A map that has lost its last key is not there any more. */
function withoutEmpty(object: Stored): Stored {
  const { labels, annotations, ...metadata } = object.metadata
  return {
    ...object,
    metadata: {
      ...metadata,
      ...(isFilled(labels) ? { labels } : {}),
      ...(isFilled(annotations) ? { annotations } : {}),
    },
  }
}

function isFilled(map: object | undefined): boolean {
  return map !== undefined && Object.keys(map).length > 0
}
