import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { authenticate, authorize } from './access-control.ts'
import type { Identity, Verb } from './access-control.ts'
import { admit } from './admission.ts'
import { header, verbOf } from './call.ts'
import type { Call, Reply, World } from './call.ts'
import { listObjects } from './list.ts'
import { readDraft } from './objects.ts'
import { patchObject } from './patch.ts'
import { readLog } from './pod-log.ts'
import { negotiate } from './represent.ts'
import type { Representation } from './represent.ts'
import { EVENTS, PODS, findResource, hasGroup, parseTarget } from './resources.ts'
import type { Resource, Target } from './resources.ts'
import { selectedName } from './selectors.ts'
import { Refusal, alreadyExists, badRequest, conflict, failure, futureVersion, notFound } from './statuses.ts'
import type { Store, Stored } from './store.ts'
import { validateEvent, validateMetadata } from './validate.ts'
import { prepareWatch } from './watch.ts'

/** Answers a request, checking in a real server's order: who, may they, where to, and what. */
export async function route(world: World, call: Call): Promise<Reply> {
  if (call.method === 'GET' && /^\/(livez|readyz|healthz)$/.test(call.path)) return plain(200, 'ok')
  const target = parseTarget(call.path)
  const reply = await decide(world, call, target)
  return target?.subresource === 'log' ? { ...reply, longRunning: true } : reply
}

async function decide(world: World, call: Call, target: Target | undefined): Promise<Reply> {
  try {
    const identity = authenticate(world.tokens, header(call, 'authorization'))
    if (target === undefined) return plain(404, '404 page not found\n')
    const verb = verbOf(call, target)
    if (verb === undefined) throw wrongMethod()
    authorize(identity, { verb, target, name: target.name ?? selectedName(call.query) })
    if (!hasGroup(target)) return plain(404, '404 page not found\n')
    const resource = findResource(target)
    if (resource === PODS && target.subresource === 'log') return await readLog(world, target, call.query)
    if (resource === undefined || target.subresource !== undefined) {
      throw new Refusal(failure(404, 'NotFound', 'the server could not find the requested resource', {}))
    }
    return await handle(world, call, { identity, verb, target, resource })
  } catch (error) {
    if (error instanceof Refusal)
      return { code: error.status.code, body: error.status, headers: error.headers }
    throw error
  }
}

type Aim = { identity: Identity; verb: Verb; target: Target; resource: Resource }

async function handle(world: World, call: Call, aim: Aim): Promise<Reply> {
  const { store } = world
  const { identity, verb, target, resource } = aim
  const { namespace, name } = target
  const { query } = call
  const write = { identity, resource, namespace, name: name ?? '' }
  const representation = negotiate(header(call, 'accept'), verb === 'list')
  if (verb === 'get' || verb === 'list') await awaitVersion(world, query.get('resourceVersion') ?? '0')
  switch (verb) {
    case 'list':
      return { code: 200, body: listObjects(store, resource, namespace, query, representation) }
    case 'watch':
      return {
        code: 200,
        stream: prepareWatch({ ...world, resource, namespace, query, representation }).start,
      }
    case 'create':
      return create(store, call, aim, representation)
    case 'get':
      return ok(find(store, resource, namespace, name), representation)
    case 'patch': {
      const before = find(store, resource, namespace, name)
      const after = patchObject(resource, before, header(call, 'content-type') ?? '', call.body)
      admit(store, { ...write, operation: 'UPDATE', object: after, before })
      return ok(query.get('dryRun') === 'All' ? after : store.replace(resource, after), representation)
    }
    case 'delete': {
      const before = find(store, resource, namespace, name)
      checkPrecondition(resource, before, call.body)
      admit(store, { ...write, operation: 'DELETE', object: null, before })
      const { metadata } = store.remove(resource, before)
      const details = { name: metadata.name, kind: resource.plural, uid: metadata.uid }
      return {
        code: 200,
        body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details },
      }
    }
  }
}

function create(
  store: Store,
  call: Call,
  { identity, target, resource }: Aim,
  representation: Representation,
): Reply {
  const draft = readDraft(parseBody(call.body))
  if (draft === undefined) throw badRequest('the object provided is unrecognized')
  const { namespace } = target
  const { name } = draft.metadata
  const checked = { kind: resource.kind, apiVersion: '', ...draft, metadata: { ...EMPTY, ...draft.metadata } }
  validateMetadata(resource, checked)
  if (resource === EVENTS) validateEvent(draft, namespace)
  const write = { identity, resource, namespace, name }
  admit(store, { ...write, operation: 'CREATE', object: checked, before: null })
  if (store.get(resource, namespace, name) !== undefined) throw alreadyExists(resource, name)
  const object = store.create(resource, { ...draft, metadata: { ...draft.metadata, namespace } })
  return { code: 201, body: representation.object(object) }
}

/** 409 for an object of that name which is another one by now. */
function checkPrecondition(resource: Resource, { metadata }: Stored, body: string): void {
  const { preconditions } = deleteOptions.parse(body === '' ? {} : parseBody(body))
  const { uid = metadata.uid } = preconditions
  if (uid === metadata.uid) return
  const { group, kind } = resource
  const why =
    `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). ` +
    'The object might have been deleted and then recreated'
  // A real server names the kind here, and not the resource.
  throw conflict({ ...resource, group, plural: kind }, metadata.name, why)
}

const deleteOptions = z.object({
  preconditions: z.object({ uid: z.string().optional() }).default({}),
})

const EMPTY = { uid: '', resourceVersion: '', creationTimestamp: '' }

function parseBody(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw badRequest('the object provided is unrecognized')
  }
}

function find(store: Store, resource: Resource, namespace: string | undefined, name = ''): Stored {
  const object = store.get(resource, namespace, name)
  if (object === undefined) throw notFound(resource, name)
  return object
}

async function awaitVersion({ store, futureWaitMs }: World, version: string): Promise<void> {
  if (Number(version) <= store.version() || !/^\d+$/.test(version)) return
  await sleep(futureWaitMs)
  if (Number(version) > store.version()) throw futureVersion(version, store.version())
}

function wrongMethod(): Refusal {
  const message = 'the server does not allow this method on the requested resource'
  return new Refusal(failure(405, 'MethodNotAllowed', message, {}))
}

function ok(object: Stored, representation: Representation): Reply {
  return { code: 200, body: representation.object(object) }
}

function plain(code: number, text: string): Reply {
  return { code, text, headers: { 'X-Content-Type-Options': 'nosniff' } }
}
