import { writeFile } from 'node:fs/promises'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { status } from '../../agent/fleet/status.ts'
import type { StatusFlags } from '../../agent/fleet/status.ts'
import { UsageError } from '../../agent/cli/usage-error.ts'
import { kubeconfigAccess } from '../../agent/cluster/kubeconfig.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { until } from '../cluster/own-node-fixture.ts'
import { connect, createTerminal, startCluster } from './fleet-fixture.ts'
import { ago, annotationsOf, fleet, now } from './fleet.ts'

async function run(server: ApiServer, name: string | undefined, flags: StatusFlags = {}) {
  const { terminal, told, text } = createTerminal()
  const nodes = connect(server, { labelSelector: flags.selector, name })
  const signal = new AbortController().signal
  const code = await status(name, flags, { signal, nodes, terminal, now: () => now })
  return { code, told, text: text() }
}

/** Follows until the end of the test. */
function follow(
  server: ApiServer,
  flags: StatusFlags = {},
  { name, size }: { name?: string; size?: { width: number; height: number } } = {},
) {
  const screen = createTerminal(size)
  const controller = new AbortController()
  const nodes = connect(server, { name })
  const effects = { signal: controller.signal, nodes, terminal: screen.terminal, now: () => now }
  const ended = status(name, { watch: true, ...flags }, effects)
  const stop = async () => {
    controller.abort()
    return ended
  }
  onTestFinished(async () => void (await stop().catch(() => {})))
  const frame = () => stripVTControlCharacters(screen.written.at(-1) ?? '')
  return { ...screen, frame, stop }
}

describe('the exit code is that of the worst node', () => {
  test.each<[string, (keyof typeof fleet)[], number]>([
    ['all enforce', ['worker-1', 'worker-10', 'worker-2'], 0],
    ['one waits', ['worker-1', 'worker-5'], 1],
    ['one is being tried', ['worker-6', 'worker-1'], 1],
    ['one was rolled back', ['worker-1', 'worker-5', 'worker-3'], 3],
    ['one is degraded', ['worker-4'], 3],
    ['one is silent', ['worker-7', 'worker-3'], 4],
    ['one has no agent', ['worker-8', 'worker-1'], 4],
    ['one says what nobody knows', ['worker-9', 'worker-1'], 4],
    ['there are none', [], 4],
  ])('%s', async (_, names, code) => {
    const server = await startCluster(Object.fromEntries(names.map((name) => [name, fleet[name] ?? {}])))
    expect(await run(server, undefined)).toMatchObject({ code })
  })
})

test('a table, the worst first', async () => {
  const { text, told } = await run(await startCluster(fleet), undefined)
  await expect(text).toMatchFileSnapshot('golden/status-table.txt')
  expect(told).toEqual([])
})

test('as JSON, with all that was read', async () => {
  const { text } = await run(await startCluster(fleet), undefined, { json: true })
  const nodes = JSON.parse(text) as { node: string }[]
  expect(nodes).toHaveLength(Object.keys(fleet).length)
  expect(nodes.find(({ node }) => node === 'worker-3')).toMatchObject({
    condition: 'RolledBack',
    severity: 3,
    status: { state: 'RolledBack', details: { change: { step: 'rolled back' } }, unreadable: [] },
  })
})

test('no nodes as JSON are an empty list', async () => {
  const { text, told } = await run(await startCluster({}), undefined, { json: true })
  expect(JSON.parse(text)).toEqual([])
  expect(told).toEqual(['found no nodes'])
})

describe('one node', () => {
  test('with all it says', async () => {
    const { code, text } = await run(await startCluster(fleet), 'worker-4')
    await expect(text).toMatchFileSnapshot('golden/status-worker-4.txt')
    expect(code).toBe(3)
  })

  test('as JSON', async () => {
    const { text } = await run(await startCluster(fleet), 'worker-4', { json: true })
    expect(JSON.parse(text)).toMatchObject({ node: 'worker-4', status: { details: { problems: [{}, {}] } } })
  })

  test('that is not there is not known', async () => {
    const { code, text, told } = await run(await startCluster(fleet), 'worker-11')
    expect({ code, text, told }).toEqual({ code: 4, text: '', told: ['error: found no node "worker-11"'] })
  })
})

test('the time after which a node is stale can be given', async () => {
  const server = await startCluster({ a: annotationsOf({ verifiedAt: ago(60_000) }) })
  expect((await run(server, undefined, { staleAfter: 60_000 })).code).toBe(0)
  expect((await run(server, undefined, { staleAfter: 59_999 })).code).toBe(4)
})

describe('what cannot be asked', () => {
  test('a selector that the server refuses is a usage error', async () => {
    const server = await startCluster(fleet)
    const failing = run(server, undefined, { selector: '===' })
    await expect(failing).rejects.toThrow(UsageError)
    await expect(failing).rejects.toThrow("found '==', expected: !, identifier")
  })

  test('a node and a selector are a usage error', async () => {
    const server = await startCluster(fleet)
    await expect(run(server, 'worker-1', { selector: 'a=b' })).rejects.toThrow(UsageError)
  })

  test('a context that is not there is a usage error', async () => {
    const server = await startCluster(fleet)
    const nodes = connect(server, { getAccess: kubeconfigAccess(server.kubeconfigFile, 'nowhere') })
    const signal = new AbortController().signal
    const failing = status(undefined, { context: 'nowhere' }, { signal, nodes })
    await expect(failing).rejects.toThrow('--context: found no context "nowhere" in the kubeconfig')
    await expect(failing).rejects.toThrow(UsageError)
  })

  test.each<[string, (server: ApiServer) => unknown, StatusFlags, RegExp]>([
    ['no rights', (server) => server.rotateToken([]), {}, /403 Forbidden/],
    ['no rights to watch', (server) => server.rotateToken([]), { watch: true }, /403 Forbidden/],
    ['no server', (server) => server.faults.refuseConnections(), {}, /no connection: ECONNREFUSED/],
    [
      'no kubeconfig',
      (server) => writeFile(server.kubeconfigFile, '{}'),
      { watch: true },
      /reading the credentials/,
    ],
  ])('%s: nothing is known, exit code 4', async (_, spoil, flags, complaint) => {
    const server = await startCluster(fleet)
    await spoil(server)
    const { code, told, text } = await run(server, undefined, flags)
    expect(code).toBe(4)
    expect(told[0]).toMatch(complaint)
    expect(text).toBe('')
  })
})

describe('followed on a screen', () => {
  test('it is drawn again with each change, and ends with the code of the last', async () => {
    const server = await startCluster({ a: fleet['worker-1'] ?? {}, b: fleet['worker-5'] ?? {} })
    const { frame, written, stop } = follow(server, {}, { size: { width: 60, height: 20 } })
    await until(() => expect(frame()).toMatch(/\nb +Waiting.*\na +Enforcing.*\n2 nodes: 1 Waiting, 1 Enf/))
    expect(
      frame()
        .split('\n')
        .every((line) => line.length <= 60),
    ).toBe(true)
    server.changeNode('b', { annotations: fleet['worker-3'] ?? {} })
    await until(() => expect(frame()).toMatch(/\nb +RolledBack/))
    server.deleteNode('a')
    await until(() => expect(frame()).toContain('\n1 node: 1 RolledBack\n'))
    expect(written.every((text) => text.startsWith('\u001B[H') && text.endsWith('\u001B[J'))).toBe(true)
    expect(await stop()).toBe(3)
  })

  test('more nodes than it has lines: the worst are shown, all are counted', async () => {
    const well = Array.from({ length: 50 }, (_, index) => [`node-${index}`, fleet['worker-1'] ?? {}] as const)
    const server = await startCluster(Object.fromEntries([...well, ['zulu', fleet['worker-3'] ?? {}]]))
    const { frame } = follow(server, {}, { size: { width: 60, height: 10 } })
    await until(() => expect(frame()).toContain('51 nodes: 1 RolledBack, 50 Enforcing'))
    const lines = frame().trimEnd().split('\n')
    expect(lines).toHaveLength(9)
    expect(lines[1]).toMatch(/^zulu +RolledBack/)
  })

  test('while the server is away it says so, and shows what was', async () => {
    const server = await startCluster({ a: fleet['worker-1'] ?? {} })
    const { frame } = follow(server, {}, { size: { width: 100, height: 20 } })
    await until(() => expect(server.openWatches()).toBe(1))
    server.faults.stop()
    await until(() => expect(frame()).toMatch(/\na +Enforcing.*\n1 node: .*\nerror: .*ECONNREFUSED/))
    server.changeNode('a', { annotations: { 'node-firewall.io/state': 'Off' } })
    await server.faults.acceptConnections()
    await until(() => expect(frame()).toMatch(/\na +Off/))
    expect(frame()).not.toContain('error')
  })

  test('one node', async () => {
    const server = await startCluster(fleet)
    const { frame, stop } = follow(server, {}, { name: 'worker-3', size: { width: 100, height: 40 } })
    await until(() => expect(frame()).toMatch(/^node +worker-3\nstate +RolledBack/))
    server.deleteNode('worker-3')
    await until(() => expect(frame()).toBe('found no node "worker-3"\n'))
    expect(await stop()).toBe(4)
  })
})

describe('followed elsewhere', () => {
  test('a line for each node, and one for each that says something else', async () => {
    const server = await startCluster({ a: fleet['worker-1'] ?? {}, b: fleet['worker-5'] ?? {} })
    const { text, stop } = follow(server)
    await until(() => expect(text()).toMatch(/^NODE .*\nb +Waiting .*\na +Enforcing .*\n$/))
    server.changeNode('a', { annotations: { 'node-firewall.io/verified-at': ago(1_000) } })
    server.changeNode('b', { annotations: fleet['worker-1'] ?? {} })
    await until(() => expect(text()).toMatch(/^NODE .*\nb .*\na .*\nb +Enforcing .*\n$/))
    expect(await stop()).toBe(0)
  })

  test('as JSON, a line each', async () => {
    const server = await startCluster({ a: fleet['worker-1'] ?? {} })
    const { text } = follow(server, { json: true }, { size: { width: 10, height: 10 } })
    const lines = () => text().trimEnd().split('\n')
    await until(() => expect(text()).not.toBe(''))
    server.changeNode('a', { annotations: { 'node-firewall.io/state': 'Off' } })
    await until(() => expect(lines()).toHaveLength(2))
    expect(lines().map((line) => (JSON.parse(line) as { condition: string }).condition)).toEqual([
      'Enforcing',
      'Off',
    ])
  })

  test('trouble that may pass is told once', async () => {
    const server = await startCluster({ a: fleet['worker-1'] ?? {} })
    server.faults.answerNext(3, { status: 500 })
    const { text, told } = follow(server)
    await until(() => expect(text()).toContain('Enforcing'))
    expect(told).toEqual([expect.stringMatching(/500 InternalError .*; it is tried again$/)])
  })
})
