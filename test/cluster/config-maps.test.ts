import { onTestFinished, expect, test } from 'vitest'
import type { ApiError } from '../../agent/cluster/api-error.ts'
import { spreadMs } from '../../agent/cluster/config-map.ts'
import { connectConfigMaps, countAfterMs } from '../../agent/cluster/config-maps.ts'
import type { ConfigMapsOptions, ReadConfigMaps } from '../../agent/cluster/config-maps.ts'
import type { ApiServer } from './api-server.ts'
import type { Options } from './cluster-server.ts'
import { hurriedClock, startServer, until } from './own-node-fixture.ts'
import { accessTo } from './probes-fixture.ts'

const NAME = 'node-firewall-rules'

async function startWith(
  data: Readonly<Record<string, string>> | undefined,
  options: Options = {},
): Promise<ApiServer> {
  const server = await startServer(options)
  if (data !== undefined) server.objects.putConfigMap(NAME, { data })
  return server
}

/** Follows the ConfigMap until the end of the test. */
function follow(server: ApiServer, options: Partial<ConfigMapsOptions> = {}) {
  const reads: (ReadConfigMaps & { readonly text: Record<string, string> })[] = []
  const errors: ApiError[] = []
  let misses = 0
  const configMaps = connectConfigMaps({
    ...accessTo(server),
    namespace: 'node-firewall',
    names: [NAME],
    clock: { ...hurriedClock().clock, now: () => performance.now() },
    ...options,
  })
  const handlers = {
    onRead(read: ReadConfigMaps) {
      const text = Object.fromEntries(
        [...read.keys].map(([key, bytes]) => [key, Buffer.from(bytes).toString()]),
      )
      reads.push({ ...read, text })
    },
    onMiss: () => (misses += 1),
    onError: (error: ApiError) => errors.push(error),
  }
  const controller = new AbortController()
  const ended = configMaps.run(handlers, controller.signal)
  onTestFinished(async () => {
    controller.abort()
    await ended
  })
  const { look, now } = configMaps
  return { reads, errors, look, now, misses: () => misses, last: () => reads.at(-1)?.text }
}

async function watching(server: ApiServer, count = 1): Promise<void> {
  await until(() => expect(server.openWatches()).toBe(count))
}

const texts = (server: ApiServer) =>
  server.requests
    .filter(({ path }) => path.endsWith('/configmaps') || path.endsWith(NAME))
    .map(({ verb, query }) => `${verb} ${query.get('resourceVersion') ?? 'newest'}`)

test('the text is there at the start, and then after each edit, in order and without a gap', async () => {
  const server = await startWith({ 'a.yaml': 'one' })
  const { reads, errors } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  server.objects.putConfigMap(NAME, { data: { 'a.yaml': 'two' } })
  await until(() => expect(reads).toHaveLength(2))
  server.objects.putConfigMap(NAME, { data: { 'b.yaml': 'three' } })
  await until(() => expect(reads).toHaveLength(3))
  expect(reads.map(({ text, follows }) => [text, follows])).toEqual([
    [{ 'a.yaml': 'one' }, false],
    [{ 'a.yaml': 'two' }, true],
    [{ 'b.yaml': 'three' }, true],
  ])
  expect(errors).toEqual([])
})

test('what is watched is metadata of this one name, and what is read is no older than what the watch told', async () => {
  const server = await startWith({ 'a.yaml': 'one' })
  const { reads } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  const first = String(server.store.version())
  server.objects.putConfigMap(NAME, { data: { 'a.yaml': 'two' } })
  await until(() => expect(reads).toHaveLength(2))
  expect(texts(server).toSorted()).toEqual(
    ['list newest', `watch ${first}`, `get ${first}`, `get ${server.store.version()}`].toSorted(),
  )
  for (const { query, headers } of server.requests.filter(({ path }) => path.endsWith('/configmaps'))) {
    expect(query.get('fieldSelector')).toBe(`metadata.name=${NAME}`)
    expect(headers['accept']).toContain('as=PartialObjectMetadata')
  }
})

test('binaryData is bytes, as the kubelet writes them', async () => {
  const server = await startWith(undefined)
  const bytes = Buffer.from([0, 255, 10])
  server.objects.putConfigMap(NAME, { data: { a: 'ä\n' }, binaryData: { b: bytes.toString('base64') } })
  const { reads } = follow(server)
  await until(() => expect(reads).toHaveLength(1))
  expect(reads[0]?.keys).toEqual(
    new Map([
      ['a', Buffer.from('ä\n')],
      ['b', bytes],
    ]),
  )
})

test('an edit between two reads is a gap', async () => {
  const server = await startWith({ a: 'one' })
  const { reads, last } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  server.objects.putConfigMap(NAME, { data: { a: 'two' } })
  server.objects.putConfigMap(NAME, { data: { a: 'three' } })
  await until(() => expect(last()).toEqual({ a: 'three' }))
  expect(reads.at(-1)?.follows).toBe(false)
})

test('what happened while the watch was lost is a gap, and a LIST that finds nothing new is none', async () => {
  const server = await startWith({ a: 'one' })
  const { reads, last } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  server.faults.compact()
  server.faults.cutWatches()
  await until(() => expect(reads.length).toBeGreaterThan(1))
  expect(reads.at(-1)).toMatchObject({ text: { a: 'one' }, follows: true })
  await watching(server)
  server.faults.refuseConnections()
  server.faults.cutWatches()
  server.objects.putConfigMap(NAME, { data: { a: 'two' } })
  server.faults.compact()
  await server.faults.acceptConnections()
  await until(() => expect(last()).toEqual({ a: 'two' }))
  expect(reads.at(-1)?.follows).toBe(false)
})

test('a ConfigMap that is deleted is missing, and comes back', async () => {
  const server = await startWith({ a: 'one' })
  const { reads, last } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  server.objects.deleteConfigMap(NAME)
  await until(() => expect(reads.at(-1)).toMatchObject({ missing: [NAME], text: {} }))
  server.objects.putConfigMap(NAME, { data: { a: 'two' } })
  await until(() => expect(last()).toEqual({ a: 'two' }))
  expect(reads.at(-1)?.missing).toEqual([])
})

test('a ConfigMap that is not there yet is missing', async () => {
  const server = await startWith(undefined)
  const { reads, last } = follow(server)
  await until(() => expect(reads).toMatchObject([{ missing: [NAME] }]))
  server.objects.putConfigMap(NAME, { data: { a: 'one' } })
  await until(() => expect(last()).toEqual({ a: 'one' }))
})

test('a look asks for the newest, and says as of when; a dead watch does not keep it', async () => {
  const server = await startWith({ a: 'one' })
  const { reads, look, now, last } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  const asked = now()
  look()
  await until(() => expect(reads).toHaveLength(2))
  expect(reads.at(-1)).toMatchObject({ text: { a: 'one' }, follows: true })
  expect(reads.at(-1)?.asOf).toBeGreaterThanOrEqual(asked)
  // The watch hears nothing from here on.
  server.faults.goSilent()
  server.objects.putConfigMap(NAME, { data: { a: 'two' } })
  server.faults.endWatches()
  look()
  server.faults.speak()
  await until(() => expect(last()).toEqual({ a: 'two' }))
})

test('a look is repeated until there is an answer', async () => {
  const server = await startWith({ a: 'one' })
  const { reads, look, now, misses } = follow(server)
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  server.faults.refuseConnections()
  const asked = now()
  look()
  await until(() => expect(misses()).toBeGreaterThan(2))
  await server.faults.acceptConnections()
  await until(() => expect(reads.at(-1)?.asOf).toBeGreaterThanOrEqual(asked))
})

test('without the right to see it, it is told once, and tried again', async () => {
  const server = await startWith({ a: 'one' }, { rules: [] })
  const { reads, errors } = follow(server)
  await until(() => expect(server.requests.length).toBeGreaterThan(3))
  expect(errors.map(({ status }) => status)).toEqual([403])
  await server.rotateToken([
    { verbs: ['get', 'list', 'watch'], resources: ['configmaps'], namespace: 'node-firewall', names: [NAME] },
  ])
  await until(() => expect(reads).toHaveLength(1))
})

test('several ConfigMaps are one text, of which the later one counts where both have a key', async () => {
  const rules = [{ verbs: ['*'], resources: ['configmaps'], names: ['first', 'second'] }] as const
  const server = await startWith(undefined, { rules })
  server.objects.putConfigMap('first', { data: { a: '1', both: '1' } })
  server.objects.putConfigMap('second', { data: { b: '2', both: '2' } })
  const { reads, last } = follow(server, { names: ['first', 'second'] })
  await watching(server, 2)
  await until(() => expect(last()).toEqual({ a: '1', b: '2', both: '2' }))
  expect(reads).toHaveLength(1)
  server.objects.deleteConfigMap('second')
  await until(() => expect(reads.at(-1)).toMatchObject({ text: { a: '1', both: '1' }, missing: ['second'] }))
  expect(reads.at(-1)?.follows).toBe(false)
})

test.each([
  [3, 1024 * 1024, 0],
  [100, 32 * 1024, 0],
  [600, 32 * 1024, 1_000],
  [600, 1024 * 1024, 2_932],
  [5_000, 32 * 1024, 9_800],
  [5_000, 1024 * 1024, 31_768],
])('%i nodes spread their reads of %i bytes over %i ms', (nodes, bytes, ms) => {
  expect(spreadMs(bytes, nodes)).toBeCloseTo(ms, 0)
})

test('reads are spread as nodes and size have it, but the first, and those that are asked for', async () => {
  const waits: number[] = []
  const clock = {
    now: () => performance.now(),
    date: Date.now,
    random: () => 0.5,
    wait: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const isOfCount = ms === countAfterMs * 1.5
        if (!isOfCount) waits.push(ms)
        if (ms === 0 || isOfCount) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      }),
  }
  const text = 'x'.repeat(1024 * 1024)
  const agents = { namespace: 'node-firewall', service: 'node-firewall' }
  const server = await startWith({ a: text })
  for (let index = 1; index <= 6; index += 1)
    server.slices.put({ ...agents, name: `agents-${index}`, addresses: [] })
  const { reads, look, last } = follow(server, { clock })
  await watching(server)
  await until(() => expect(reads).toHaveLength(1))
  await until(() =>
    expect(server.requests.find(({ path }) => path.endsWith('/endpointslices'))?.status).toBe(200),
  )
  expect(waits.filter((ms) => ms > 0)).toEqual([])
  server.objects.putConfigMap(NAME, { data: { a: 'small' } })
  await until(() => expect(waits).toContain(spreadMs(text.length, 600) / 2))
  look()
  await until(() => expect(last()).toEqual({ a: 'small' }))
  // The watch told of it, and so did the list: that is one edit.
  expect(reads.at(-1)?.follows).toBe(true)
})
