import { expect, test } from 'vitest'
import { METADATA, only, refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** WATCH. */
export function watchesConform(suite: Suite): void {
  const { annotate, asAdmin, call, createNode, needs, patch, target, versionNow, watch } = suite

  test('from the version of a list: only what came later', async () => {
    const { name } = await createNode()
    const { body } = await call('GET', only(name))
    const resourceVersion = body.metadata?.resourceVersion ?? ''
    const watching = await watch(only(name, { resourceVersion, timeoutSeconds: '5' }))
    await createNode()
    const patched = await annotate(name, { 'example.org/a': '1' })
    const event = await watching.next()
    expect(event).toMatchObject({ type: 'MODIFIED', object: { kind: 'Node', apiVersion: 'v1' } })
    expect(event?.object.metadata?.resourceVersion).toBe(patched.body.metadata?.resourceVersion)
    watching.stop()
  })

  test.each([{ resourceVersion: '0' }, {}])('from %j: first an ADDED for each object', async (from) => {
    const { name } = await createNode()
    const watching = await watch(only(name, { ...from, timeoutSeconds: '5' }))
    expect(await watching.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name } } })
    watching.stop()
  })

  test('timeoutSeconds ends it in order, with no event', async () => {
    const watching = await watch(only('none', { resourceVersion: await versionNow(), timeoutSeconds: '1' }))
    expect(await watching.rest()).toEqual([])
  })

  test('DELETED has the last state and the version of the deletion; a new object of the name another uid', async () => {
    const { name, uid, version } = await createNode({ pool: 'gone' })
    const watching = await watch(only(name, { resourceVersion: version, timeoutSeconds: '10' }))
    await asAdmin('DELETE', `/api/v1/nodes/${name}`)
    const deleted = await watching.next()
    expect(deleted).toMatchObject({
      type: 'DELETED',
      object: { metadata: { uid, labels: { pool: 'gone' } } },
    })
    expect(Number(deleted?.object.metadata?.resourceVersion)).toBeGreaterThan(Number(version))
    await asAdmin('POST', '/api/v1/nodes', { metadata: { name } })
    const added = await watching.next()
    expect(added).toMatchObject({ type: 'ADDED', object: { metadata: { name } } })
    expect(added?.object.metadata?.uid).not.toBe(uid)
    watching.stop()
  })

  test('an object that starts to match a selector is ADDED, one that stops is DELETED', async () => {
    const { name } = await createNode({ pool: 'other' })
    const resourceVersion = await versionNow()
    const query = new URLSearchParams({
      labelSelector: `pool=of-${name}`,
      resourceVersion,
      timeoutSeconds: '10',
    })
    const watching = await watch(`/api/v1/nodes?${query.toString()}`)
    await patch(name, { labels: { pool: `of-${name}` } })
    expect(await watching.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name } } })
    await patch(name, { labels: { pool: 'other' } })
    expect(await watching.next()).toMatchObject({ type: 'DELETED', object: { metadata: { name } } })
    watching.stop()
  })

  test('metadata only', async () => {
    const { name } = await createNode()
    const options = { accept: METADATA }
    const watching = await watch(only(name, { resourceVersion: '0', timeoutSeconds: '5' }), options)
    expect(await watching.next()).toMatchObject({
      type: 'ADDED',
      object: { kind: 'PartialObjectMetadata' },
    })
    watching.stop()
  })

  test('bookmarks come shortly before timeoutSeconds ends', async () => {
    const options = {
      allowWatchBookmarks: 'true',
      resourceVersion: await versionNow(),
      timeoutSeconds: '4',
    }
    const watching = await watch(only('none', options))
    // Some servers have nothing to tell unless there was a change, be it one that this watch does not show.
    await createNode()
    const events = await watching.rest()
    expect(events.length).toBeGreaterThan(0)
    for (const { type, object } of events) {
      expect({ type, kind: object.kind }).toEqual({ type: 'BOOKMARK', kind: 'Node' })
      expect(object.metadata?.resourceVersion).toMatch(/^\d+$/)
    }
  })

  test('a watch from what is in memory has a bookmark behind it', async ({ skip }) => {
    needs(34, skip)
    const { name } = await createNode()
    const asked = { resourceVersion: '0', allowWatchBookmarks: 'true', timeoutSeconds: '5' }
    const watching = await watch(only(name, asked))
    expect(await watching.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name } } })
    const annotations = { 'k8s.io/initial-events-end': 'true' }
    expect(await watching.next()).toMatchObject({ type: 'BOOKMARK', object: { metadata: { annotations } } })
    watching.stop()
  })

  test('a streaming list ends with a bookmark that says so', async ({ skip }) => {
    needs(34, skip)
    const { name } = await createNode()
    const stream = {
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    }
    const watching = await watch(only(name, { ...stream, timeoutSeconds: '5' }))
    expect(await watching.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name } } })
    const annotations = { 'k8s.io/initial-events-end': 'true' }
    expect(await watching.next()).toMatchObject({ type: 'BOOKMARK', object: { metadata: { annotations } } })
    watching.stop()
  })

  test('sendInitialEvents without resourceVersionMatch: 422', async ({ skip }) => {
    needs(34, skip)
    const answer = await call('GET', `${only('none', { sendInitialEvents: 'true' })}&watch=true`)
    expect(refusal(answer)).toEqual([
      422,
      'Invalid',
      expect.stringMatching(/sendInitialEvents requires setting resourceVersionMatch to NotOlderThan$/),
    ])
  })

  test('a version that lies in the future: 200 and silence', async () => {
    const { name } = await createNode()
    const watching = await watch(only(name, { resourceVersion: '99999999', timeoutSeconds: '1' }))
    expect(watching.status).toBe(200)
    await annotate(name, { 'example.org/a': '1' })
    expect(await watching.rest()).toEqual([])
  })

  test('a version that is too old: 200, one ERROR with 410 Expired, and the end', async () => {
    const { name, version } = await createNode()
    await createNode()
    await target().forget()
    const watching = await watch(only(name, { resourceVersion: version, timeoutSeconds: '5' }))
    expect(watching.status).toBe(200)
    const [event, ...more] = await watching.rest()
    expect(event).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
    expect(event?.object.message).toMatch(/^too old resource version: \d+ \(\d+\)$/)
    expect(more).toEqual([])
    const { body } = await call('GET', only(name))
    const { resourceVersion = '' } = body.metadata ?? {}
    expect(await (await watch(only(name, { resourceVersion, timeoutSeconds: '1' }))).rest()).toEqual([])
    const exact = await call('GET', only(name, { resourceVersion: version, resourceVersionMatch: 'Exact' }))
    expect(refusal(exact)).toEqual([410, 'Expired', 'The resourceVersion for the provided list is too old.'])
  })

  test('?watch=true on the path of one object is an ordinary GET', async () => {
    const { name } = await createNode()
    const { body } = await call('GET', `/api/v1/nodes/${name}?watch=true&timeoutSeconds=1`)
    expect(body).toMatchObject({ kind: 'Node', metadata: { name } })
  })
}
