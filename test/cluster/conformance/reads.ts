import { expect, test } from 'vitest'
import { METADATA, METADATA_LIST, only, refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** GET and LIST. */
export function readsConform(suite: Suite): void {
  const { call, createNode } = suite

  test('GET answers with the object, its kind and a decimal version', async () => {
    const { name } = await createNode({ pool: 'web' })
    const { status, headers, body } = await call('GET', `/api/v1/nodes/${name}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      kind: 'Node',
      apiVersion: 'v1',
      metadata: { name, labels: { pool: 'web' } },
    })
    expect(body.metadata?.resourceVersion).toMatch(/^\d+$/)
    expect(headers).toMatchObject({
      'audit-id': expect.any(String),
      'cache-control': 'no-cache, private',
      'content-type': 'application/json',
      'x-kubernetes-pf-flowschema-uid': expect.any(String),
      'x-kubernetes-pf-prioritylevel-uid': expect.any(String),
    })
  })

  test('GET as PartialObjectMetadata leaves spec and status out', async () => {
    const { name } = await createNode()
    const { body } = await call('GET', `/api/v1/nodes/${name}`, { accept: METADATA })
    expect(Object.keys(body)).toEqual(['kind', 'apiVersion', 'metadata'])
    expect(body).toMatchObject({
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { name },
    })
  })

  test('GET of an object that is not there: 404 that names it', async () => {
    expect(refusal(await call('GET', '/api/v1/nodes/none'))).toEqual([
      404,
      'NotFound',
      'nodes "none" not found',
    ])
  })

  test('LIST by name: a list of one, whose items carry no kind', async () => {
    const { name } = await createNode()
    const { body } = await call('GET', only(name))
    expect(body.kind).toBe('NodeList')
    expect(body.items).toHaveLength(1)
    expect(body.items?.[0]).not.toHaveProperty('kind')
  })

  test('LIST has the version of the counter, not that of the newest item', async () => {
    const { name, version } = await createNode()
    await createNode()
    const { body } = await call('GET', only(name))
    expect(body.items?.[0]?.metadata.resourceVersion).toBe(version)
    expect(Number(body.metadata?.resourceVersion)).toBeGreaterThan(Number(version))
  })

  test('LIST that finds nothing: 200 and no items', async () => {
    const { status, body } = await call('GET', only('none'))
    expect(status).toBe(200)
    expect(body).toMatchObject({ kind: 'NodeList', items: [] })
  })

  test('LIST as PartialObjectMetadataList', async () => {
    const { name } = await createNode()
    const { body } = await call('GET', only(name), { accept: METADATA_LIST })
    expect(body).toMatchObject({ kind: 'PartialObjectMetadataList', items: [{ metadata: { name } }] })
  })

  test('a list is no PartialObjectMetadata: 406', async () => {
    expect((await call('GET', only('none'), { accept: METADATA })).status).toBe(406)
  })

  test('LIST by labels', async () => {
    const { name } = await createNode({ pool: 'labelled', zone: 'a' })
    await createNode({ pool: 'labelled', zone: 'b' })
    for (const selector of [
      'pool=labelled,zone!=b',
      'pool in (labelled, x),zone notin (b)',
      'pool=labelled,zone==a',
    ]) {
      const { body } = await call('GET', `/api/v1/nodes?labelSelector=${encodeURIComponent(selector)}`)
      expect(body.items?.map((item) => item.metadata.name)).toEqual([name])
    }
  })

  test.each([
    ['a===b', "unable to parse requirement: found '=', expected: identifier"],
    ['===', "found '==', expected: !, identifier, or 'end of string'"],
  ])('a label selector that does not parse: %s: 400', async (selector, why) => {
    const answer = await call('GET', `/api/v1/nodes?labelSelector=${encodeURIComponent(selector)}`)
    expect(refusal(answer)).toEqual([400, 'BadRequest', why])
  })

  test('a field that cannot be selected: 400', async () => {
    const answer = await call('GET', '/api/v1/nodes?fieldSelector=status.phase%3Dx')
    expect(refusal(answer)).toEqual([400, 'BadRequest', 'field label not supported: status.phase'])
  })

  test('LIST in pages: each has the version of the first', async () => {
    for (const _ of [1, 2, 3]) await createNode()
    const path = '/api/v1/nodes?limit=2'
    const first = await call('GET', path)
    const token = first.body.metadata?.continue ?? ''
    const pages = [first]
    for (let next = token; next !== ''; next = pages.at(-1)?.body.metadata?.continue ?? '') {
      pages.push(await call('GET', `${path}&continue=${next}`))
    }
    const all = await call('GET', '/api/v1/nodes')
    expect(pages.length).toBe(Math.ceil((all.body.items?.length ?? 0) / 2))
    expect(pages.flatMap(({ body }) => body.items)).toEqual(all.body.items)
    for (const { body } of pages) {
      expect(body.items?.length).toBeLessThanOrEqual(2)
      expect(body.metadata?.resourceVersion).toBe(first.body.metadata?.resourceVersion)
    }
    const mixed = await call('GET', `${path}&continue=${token}&resourceVersion=5`)
    expect(refusal(mixed)).toEqual([
      400,
      'BadRequest',
      'specifying resource version is not allowed when using continue',
    ])
  })

  test('remainingItemCount says how many are left, when there is no selector', async () => {
    await createNode()
    await createNode()
    const { body } = await call('GET', '/api/v1/nodes?limit=1')
    const all = await call('GET', '/api/v1/nodes')
    expect(body.metadata?.remainingItemCount).toBe((all.body.items?.length ?? 0) - 1)
  })

  test('the limit is ignored with resourceVersion=0', async () => {
    await createNode()
    await createNode()
    const { body } = await call('GET', '/api/v1/nodes?resourceVersion=0&limit=1')
    expect(body.items?.length).toBeGreaterThan(1)
    expect(body.metadata?.continue).toBeUndefined()
  })

  test('a continue token that is none: 400', async () => {
    const { status, body } = await call('GET', '/api/v1/nodes?limit=1&continue=abc')
    expect([status, body.reason]).toEqual([400, 'BadRequest'])
    expect(body.message).toMatch(/^invalid continue token: continue key is not valid/)
  })

  test('a version that lies in the future: 504 and Retry-After', async () => {
    const { name } = await createNode()
    for (const path of [
      `/api/v1/nodes/${name}?resourceVersion=99999999`,
      only(name, { resourceVersion: '99999999' }),
    ]) {
      const answer = await call('GET', path)
      expect(refusal(answer)).toEqual([
        504,
        'Timeout',
        expect.stringMatching(/^Timeout: Too large resource version: 99999999, current: \d+$/),
      ])
      expect(answer.headers['retry-after']).toBe('1')
      expect(answer.body.details?.causes).toMatchObject([{ reason: 'ResourceVersionTooLarge' }])
    }
  })

  test('a version that is no number: refused, and WATCH says 500', async () => {
    const why = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
    const path = only('none', { resourceVersion: 'abc' })
    const [status, , message] = refusal(await call('GET', path))
    // Older servers say 500 to a LIST, too.
    expect([400, 500]).toContain(status)
    expect(message?.replace('invalid resource version: ', '')).toBe(why)
    expect(refusal(await call('GET', `${path}&watch=true`))).toEqual([500, undefined, why])
  })

  test('resourceVersionMatch alone: 422', async () => {
    const { status, body } = await call('GET', '/api/v1/nodes?resourceVersionMatch=Exact')
    expect([status, body.reason]).toEqual([422, 'Invalid'])
    expect(body.message).toMatch(/^ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden/)
  })
}
