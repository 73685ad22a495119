import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { UsageError } from '../../agent/cli/usage-error.ts'
import { wait } from '../../agent/fleet/wait.ts'
import type { WaitFlags } from '../../agent/fleet/wait.ts'
import { ApiError } from '../../agent/cluster/api-error.ts'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { orderRulesets } from '../../agent/ruleset/select.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { until } from '../cluster/own-node-fixture.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { connect, startCluster } from './fleet-fixture.ts'
import { ago, annotationsOf, now } from './fleet.ts'
import type { Said } from './fleet.ts'

const base = rulesetOf({ defaults: { ingress: 'drop' } }, 'base')
const web = rulesetOf({ nodeSelector: { matchLabels: { pool: 'web' } }, defaults: { egress: 'drop' } }, 'web')

function hashOf(...texts: readonly string[]): string {
  const { rulesets } = parseRulesets(
    texts.map((text, index) => ({ path: `${index}`, bytes: Buffer.from(text) })),
  )
  return hashRulesets(orderRulesets(rulesets))
}

const wanted = hashOf(base)
const good = annotationsOf({ ruleset: wanted })
const before = annotationsOf({ ruleset: 'aaaaaaaaaaaa' })

function change(step: 'rolled back' | 'stopped' | 'confirming', ruleset = wanted): Said {
  const state = { 'rolled back': 'RolledBack', stopped: 'Waiting', confirming: 'Confirming' } as const
  return { state: state[step], message: `about ${ruleset}`, details: { change: { ruleset, step } } }
}

function invalid(problem: string): Record<string, string> {
  return annotationsOf({
    state: 'Invalid',
    message: `${problem}; of before`,
    details: { problems: [problem] },
  })
}

type Setting = { readonly files?: readonly string[]; readonly flags?: Partial<WaitFlags> }

/** Begins to wait, for as long as a test may take if nothing else is said. */
async function begin(server: ApiServer, { files = [base], flags = {} }: Setting = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-wait-'))
  onTestFinished(async () => rm(folder, { recursive: true, force: true }))
  for (const [index, text] of files.entries()) await writeFile(join(folder, `${index}.yaml`), text)
  const told: string[] = []
  let speak = () => {}
  const spoken = new Promise<void>((resolve) => (speak = resolve))
  const controller = new AbortController()
  const code = wait(
    { ruleset: [folder], timeout: 50_000, ...flags },
    {
      signal: controller.signal,
      nodes: connect(server, { labelSelector: flags.selector }),
      tell(line) {
        told.push(line)
        speak()
      },
      now: () => now,
      tellEveryMs: 1,
    },
  )
  // A test awaits it later than it may fail.
  code.catch(() => {})
  return { code, told, spoken, interrupt: () => controller.abort() }
}

/** What it comes to when it is ended as soon as it has said something. */
async function conclude(server: ApiServer, setting: Setting = {}) {
  const { code, told, spoken, interrupt } = await begin(server, setting)
  await Promise.race([code, spoken])
  interrupt()
  return { code: await code, told }
}

describe('nodes that change meanwhile', () => {
  test('all have it in force from the start', async () => {
    const { code, told } = await conclude(await startCluster({ a: good, b: good }))
    expect({ code, told }).toEqual({ code: 0, told: ['2 of 2 nodes have them in force'] })
  })

  test('it waits for each, through confirming and not only for the hash', async () => {
    const server = await startCluster({ a: before, b: good })
    const { code, told } = await begin(server)
    await until(() => expect(told).toEqual(['1 of 2 nodes have them in force; waiting for a (Enforcing)']))
    server.changeNode('a', { annotations: annotationsOf({ ruleset: wanted, ...change('confirming') }) })
    server.createNode('c', {}, {})
    server.changeNode('a', { annotations: good })
    await until(() =>
      expect(told.at(-1)).toBe(
        '2 of 3 nodes have them in force; waiting for c (no agent has written a status here)',
      ),
    )
    server.changeNode('c', { annotations: good })
    expect(await code).toBe(0)
  })

  test('a node that goes is waited for no longer', async () => {
    const server = await startCluster({ a: before, b: good })
    const { code, told } = await begin(server)
    await until(() => expect(told).toHaveLength(1))
    server.deleteNode('a')
    expect(await code).toBe(0)
  })

  test('watches that are cut and versions that are forgotten lose nothing', async () => {
    const server = await startCluster({ a: before })
    const { code } = await begin(server)
    await until(() => expect(server.openWatches()).toBe(1))
    server.faults.stop()
    server.changeNode('a', { annotations: good })
    server.faults.compact()
    await server.faults.acceptConnections()
    expect(await code).toBe(0)
  })

  test('a server in trouble is asked again', async () => {
    const server = await startCluster({ a: good })
    server.faults.answerNext(3, { status: 503 })
    const { code, told } = await begin(server)
    expect(await code).toBe(0)
    expect(told[0]).toMatch(/503 ServiceUnavailable.*; it is tried again/)
  })
})

describe('which nodes, and what of them', () => {
  test('each node is held to the rulesets that select it, in their order', async () => {
    const server = await startCluster({})
    server.createNode('a', { pool: 'web' }, annotationsOf({ ruleset: hashOf(base, web) }))
    server.createNode('b', {}, good)
    expect(await conclude(server, { files: [web, base] })).toMatchObject({ code: 0 })
    server.changeNode('b', { labels: { pool: 'web' } })
    expect(await conclude(server, { files: [web, base] })).toMatchObject({ code: 1 })
  })

  test('nodes that no ruleset selects do not count', async () => {
    const server = await startCluster({ b: before, c: {} })
    server.createNode('a', { pool: 'web' }, annotationsOf({ ruleset: hashOf(web) }))
    const { code, told } = await conclude(server, { files: [web] })
    expect({ code, told }).toEqual({ code: 0, told: ['1 of 1 nodes have them in force'] })
  })

  test('no node at all is no success', async () => {
    const { code, told } = await conclude(await startCluster({ b: good }), { files: [web] })
    expect({ code, told: told.at(-1) }).toEqual({ code: 1, told: 'no node is selected by these rulesets' })
  })

  test('a selector narrows them down', async () => {
    const server = await startCluster({ b: before })
    server.createNode('a', { pool: 'web' }, good)
    expect(await conclude(server, { flags: { selector: 'pool=web' } })).toMatchObject({ code: 0 })
  })

  test('auditing is in force too, unless another state is asked for', async () => {
    const server = await startCluster({ a: annotationsOf({ ruleset: wanted, state: 'Auditing' }), b: good })
    expect(await conclude(server)).toMatchObject({ code: 0 })
    expect(await conclude(server, { flags: { for: 'Enforcing' } })).toMatchObject({
      code: 1,
      told: expect.arrayContaining([expect.stringMatching(/^a: Auditing, /)]),
    })
  })
})

describe('when time is over, each that is not there is named: exit code 1', () => {
  const override = { mode: { mode: 'audit', by: 'the mode file' } } as const
  test.each<[string, Record<string, string>, string]>([
    ['another ruleset', before, 'a: Enforcing, ruleset aaaaaaaaaaaa: the files say HASH; '],
    [
      'a wait for its turn',
      annotationsOf({ state: 'Waiting', message: 'b is first' }),
      'a: Waiting, .*: b is first',
    ],
    ['rolled back, but another one', annotationsOf(change('rolled back', 'bbbbbbbbbbbb')), 'a: RolledBack, '],
    [
      'in force in one family',
      annotationsOf({ ruleset: `${wanted} / unknown`, state: 'Degraded' }),
      'a: Degraded, ',
    ],
    ['invalid from the start', invalid('x.yaml:1:1: no'), 'a: Invalid: x.yaml:1:1: no'],
    [
      'silent',
      annotationsOf({ ruleset: wanted, verifiedAt: ago(7_200_000) }),
      'a: Stale, ruleset HASH: it said Enf',
    ],
    [
      'overridden',
      annotationsOf({ state: 'Auditing', ruleset: 'cccccccccccc', details: override }),
      'a: Auditing, .*: audit by order of the mode file',
    ],
    ['no agent', {}, 'a: no agent has written a status here'],
  ])('%s', async (_, annotations, line) => {
    const { code, told } = await conclude(await startCluster({ a: annotations, b: good }))
    expect(code).toBe(1)
    expect(told).toContainEqual(expect.stringMatching(new RegExp(`^${line.replace('HASH', wanted)}`)))
    expect(told.at(-1)).toMatch(/^1 of 2 nodes have them in force; waiting for a \(/)
  })

  test('a server that never answered', async () => {
    const server = await startCluster({ a: good })
    server.faults.refuseConnections()
    const { code: ended, told } = await begin(server, { flags: { timeout: 500 } })
    const code = await ended
    expect({ code, last: told.at(-1) }).toEqual({ code: 1, last: 'the nodes are not known yet' })
  })
})

describe('nodes without an agent', () => {
  test('can be passed over, and are told of', async () => {
    const server = await startCluster({ a: good, b: {} })
    const { code, told } = await conclude(server, { flags: { ignoreMissing: true } })
    expect({ code, told }).toEqual({
      code: 0,
      told: ['b: no agent has written a status here', '1 of 1 nodes have them in force; 1 without an agent'],
    })
  })

  test('alone are no success', async () => {
    const server = await startCluster({ b: {} })
    expect(await conclude(server, { flags: { ignoreMissing: true } })).toMatchObject({ code: 1 })
  })
})

describe('a node that will not have it in force ends it at once: exit code 3', () => {
  test.each<[string, Said]>([
    ['rolled back here', change('rolled back')],
    ['rolled back elsewhere', change('stopped')],
  ])('%s', async (_, said) => {
    const server = await startCluster({ a: annotationsOf(said), b: before })
    const { code, told } = await begin(server)
    expect(await code).toBe(3)
    expect(told).toEqual([
      `a: ${said.state}: about ${wanted}`,
      '0 of 2 nodes have them in force; 1 will not; waiting for b (Enforcing)',
    ])
  })

  test('rolled back while it is waited for', async () => {
    const server = await startCluster({ a: before })
    const { code, told } = await begin(server)
    await until(() => expect(told).toHaveLength(1))
    server.changeNode('a', { annotations: annotationsOf(change('rolled back')) })
    expect(await code).toBe(3)
  })

  test.each<[string, Record<string, string>]>([
    ['becomes invalid', before],
    ['becomes invalid in another way', invalid('x.yaml:1:1: no')],
  ])('%s', async (_, first) => {
    const server = await startCluster({ a: first })
    const { code, told } = await begin(server)
    await until(() => expect(told).toHaveLength(1))
    server.changeNode('a', { annotations: invalid('y.yaml:2:2: no') })
    expect(await code).toBe(3)
  })

  test('but one that was invalid before may be mended', async () => {
    const server = await startCluster({ a: invalid('x.yaml:1:1: no') })
    const { code, told } = await begin(server)
    await until(() => expect(told).toHaveLength(1))
    server.changeNode('a', { annotations: good })
    expect(await code).toBe(0)
  })

  test('rulesets that contradict each other on it', async () => {
    const other = rulesetOf({ defaults: { ingress: 'reject' } }, 'other')
    const { code, told } = await conclude(await startCluster({ a: before }), { files: [base, other] })
    expect(code).toBe(3)
    expect(told[0]).toContain('spec.defaults.ingress: found reject, expected drop')
  })
})

describe('what cannot even begin', () => {
  test('files with errors: they are named, and nobody is asked', async () => {
    const server = await startCluster({ a: good })
    const { code, told } = await conclude(server, { files: ['kind: Ruleset'] })
    expect(code).toBe(1)
    expect(told[0]).toMatch(/0\.yaml:1:1: /)
    expect(server.requests).toEqual([])
  })

  test('no rights', async () => {
    const server = await startCluster({ a: good })
    await server.rotateToken([])
    const failing = conclude(server)
    await expect(failing).rejects.toThrow(ApiError)
    await expect(failing).rejects.toThrow('403 Forbidden')
  })

  test('a selector that the server refuses', async () => {
    const failing = conclude(await startCluster({ a: good }), { flags: { selector: '===' } })
    await expect(failing).rejects.toThrow(UsageError)
  })
})
