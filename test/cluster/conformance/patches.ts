import { expect, test } from 'vitest'
import { METADATA, only, refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** PATCH, and what is refused. */
export function patchesConform(suite: Suite): void {
  const { annotate, asAdmin, call, createNode, patch, watch } = suite

  test('a merge patch sets annotations and leaves the others alone', async () => {
    const { name, version } = await createNode()
    await annotate(name, { 'example.org/a': '1' })
    const { status, body } = await annotate(name, { 'example.org/b': '2' })
    expect(status).toBe(200)
    expect(body.metadata?.annotations).toMatchObject({ 'example.org/a': '1', 'example.org/b': '2' })
    expect(Number(body.metadata?.resourceVersion)).toBeGreaterThan(Number(version))
  })

  test('a strategic merge patch does the same', async () => {
    const { name } = await createNode()
    const contentType = 'application/strategic-merge-patch+json'
    await patch(name, { annotations: { 'example.org/a': '1', 'example.org/b': '2' } }, { contentType })
    const { body } = await patch(name, { annotations: { 'example.org/a': null } }, { contentType })
    expect(body.metadata?.annotations).toMatchObject({ 'example.org/b': '2' })
    expect(body.metadata?.annotations).not.toHaveProperty('example.org/a')
  })

  test('the answer to a patch may be metadata only', async () => {
    const { name } = await createNode()
    const { body } = await patch(name, { annotations: { 'example.org/a': '1' } }, { accept: METADATA })
    expect(body.kind).toBe('PartialObjectMetadata')
  })

  test('a patch that changes nothing keeps resourceVersion and sends no event', async () => {
    const { name } = await createNode()
    const first = await annotate(name, { 'example.org/a': '1' })
    const version = first.body.metadata?.resourceVersion ?? ''
    const watching = await watch(only(name, { resourceVersion: version, timeoutSeconds: '5' }))
    const again = await annotate(name, { 'example.org/a': '1' })
    expect(again.body.metadata?.resourceVersion).toBe(version)
    await annotate(name, { 'example.org/a': '2' })
    const event = await watching.next()
    expect(event?.object.metadata?.annotations).toMatchObject({ 'example.org/a': '2' })
    watching.stop()
  })

  test('null removes an annotation, and is no error for one that is absent', async () => {
    const { name } = await createNode()
    await annotate(name, { 'example.org/a': '1' })
    const { body } = await annotate(name, { 'example.org/a': null })
    expect(body.metadata?.annotations ?? {}).not.toHaveProperty('example.org/a')
    const again = await annotate(name, { 'example.org/a': null })
    expect(again.status).toBe(200)
    expect(again.body.metadata?.resourceVersion).toBe(body.metadata?.resourceVersion)
  })

  test('half a surrogate pair is stored as U+FFFD', async () => {
    const { name } = await createNode()
    const { body } = await annotate(name, { 'example.org/a': 'cut \uD83D' })
    expect(body.metadata?.annotations).toMatchObject({ 'example.org/a': 'cut \uFFFD' })
  })

  test('dryRun shows the change and stores nothing', async () => {
    const { name, version } = await createNode()
    const { body } = await patch(name, { annotations: { 'example.org/a': '1' } }, { query: '?dryRun=All' })
    expect(body.metadata?.annotations).toMatchObject({ 'example.org/a': '1' })
    expect((await call('GET', `/api/v1/nodes/${name}`)).body.metadata?.resourceVersion).toBe(version)
  })

  test('a stale resourceVersion: 409', async () => {
    const { name, version } = await createNode()
    await annotate(name, { 'example.org/a': '1' })
    const answer = await patch(name, { resourceVersion: version, annotations: { 'example.org/a': '2' } })
    expect(refusal(answer)).toEqual([
      409,
      'Conflict',
      expect.stringMatching(/^Operation cannot be fulfilled on nodes "row-\d+": the object has been/),
    ])
    expect(answer.body.details).toEqual({ name, kind: 'nodes' })
  })

  test("another object's uid: 422, not 409", async () => {
    const { name } = await createNode()
    const answer = await patch(name, { uid: NO_UID, annotations: { 'example.org/a': '1' } })
    const why = `Invalid value: "${NO_UID}": field is immutable`
    expect(refusal(answer)).toEqual([422, 'Invalid', `Node "${name}" is invalid: metadata.uid: ${why}`])
    const cause = { reason: 'FieldValueInvalid', message: why, field: 'metadata.uid' }
    expect(answer.body.details).toEqual({ name, kind: 'Node', causes: [cause, cause] })
  })

  test('a key that is no qualified name: 422, the same cause four times', async () => {
    const { name } = await createNode()
    const answer = await annotate(name, { 'example.org/bad key': 'x' })
    const why = `Node "${name}" is invalid: metadata.annotations: Invalid value: "example.org/bad key": name part must consist of`
    expect(refusal(answer)).toEqual([422, 'Invalid', expect.stringContaining(why)])
    expect(answer.body.details?.causes).toHaveLength(4)
  })

  test('the name part of a key may have 63 characters', async () => {
    const { name } = await createNode()
    const key = `example.org/${'k'.repeat(63)}`
    expect((await annotate(name, { [key]: 'x' })).status).toBe(200)
    const answer = await annotate(name, { [`${key}k`]: 'x' })
    expect(refusal(answer)).toEqual([
      422,
      'Invalid',
      // Kubernetes counted characters before 1.32, in words at least.
      expect.stringMatching(/name part must be no more than 63 (bytes|characters)$/),
    ])
  })

  test('all annotations together may have 256 KiB', async () => {
    const { name } = await createNode()
    const answer = await annotate(name, { 'example.org/a': 'x'.repeat(256 * 1024) })
    expect(refusal(answer)).toEqual([
      422,
      'Invalid',
      // In the words of today, and in those of before 1.32.
      expect.stringMatching(/annotations: Too long: (may not be more than|must have at most) 262144 bytes$/),
    ])
    expect(answer.body.details?.causes).toHaveLength(4)
  })

  test('a value that is no string: 422 that echoes the whole object', async () => {
    const { name } = await createNode()
    const answer = await annotate(name, { 'example.org/a': 7 })
    expect(refusal(answer)).toEqual([
      422,
      'Invalid',
      expect.stringMatching(/^ "" is invalid: patch: Invalid value: .* of type string$/),
    ])
  })

  test('PATCH with application/json: 415', async () => {
    const { name } = await createNode()
    const answer = await patch(name, {}, { contentType: 'application/json' })
    expect(refusal(answer)).toEqual([415, 'UnsupportedMediaType', '415: Unsupported Media Type'])
  })

  test('a body that is not JSON: 400', async () => {
    const { name } = await createNode()
    const answer = await patch(name, {}, { body: '{"metadata":' })
    expect(refusal(answer)).toEqual([
      400,
      'BadRequest',
      expect.stringMatching(/^(error decoding patch: unexpected end of JSON input|Invalid JSON Patch)$/),
    ])
  })

  test('an Accept that cannot be served: 406', async () => {
    const { name } = await createNode()
    const answer = await call('GET', `/api/v1/nodes/${name}`, { accept: 'text/html' })
    expect(refusal(answer)).toEqual([
      406,
      'NotAcceptable',
      expect.stringMatching(/^406: Not Acceptable(\n\nAvailable representations: application\/json|$)/),
    ])
  })

  test('merge patches do not create: 404', async () => {
    expect(refusal(await annotate('none', { 'example.org/a': '1' }))).toEqual([
      404,
      'NotFound',
      'nodes "none" not found',
    ])
  })

  test('creating a name twice: 409 AlreadyExists', async () => {
    const { name } = await createNode()
    const answer = await asAdmin('POST', '/api/v1/nodes', { metadata: { name } })
    expect(refusal(answer)).toEqual([409, 'AlreadyExists', `nodes "${name}" already exists`])
  })
}

const NO_UID = '00000000-0000-0000-0000-000000000000'
