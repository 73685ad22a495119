import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openStateFolder } from '../../agent/host/state-folder.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { dump } from './dump.ts'
import { closedPort, generations, openPort, probedPort, readInForce, readNames } from './generations.ts'
import type { GenerationName } from './generations.ts'
import { createKillShim } from './kill-shim.ts'
import type { Fall } from './kill-shim.ts'

/** `npm run test:long` makes 200. */
const kills = Number(process.env['KILLS'] ?? 24)
const seed = Number(process.env['KILLS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const backends = await usableBackends()
const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** One kill: so far through what is done, counted in commands, or for `timed` in ms. */
type Moment = { readonly place: number; readonly fall: Fall | 'timed'; readonly delayMs: number }

const moments = fc.sample(
  fc.noBias(
    fc.record({
      place: fc.integer({ min: 0, max: 999 }).map((thousandth) => thousandth / 1000),
      fall: fc.constantFrom<Moment['fall']>('before', 'orphan', 'during', 'after', 'command', 'timed'),
      delayMs: fc.integer({ min: 0, max: 15 }),
    }),
  ),
  { numRuns: kills, seed },
)

const phases = ['apply', 'switch', 'rollback', 'clean'] as const
type Phase = (typeof phases)[number]

function momentsOf(phase: Phase, backend: string): Moment[] {
  const share = phases.indexOf(phase) * backends.length + backends.findIndex((each) => each === backend)
  return moments.filter((_, index) => index % (phases.length * backends.length) === share)
}

/** What is in force of each family. */
type InForce = Readonly<Record<Family, string>>
type Known = { readonly hash: string; readonly inForce: InForce; readonly names: readonly string[] }

const nothing: InForce = { ipv4: '', ipv6: '' }
const enforcing = (hash?: string) => (line: LogLine) =>
  line['state'] === 'Enforcing' && (hash === undefined || line['ruleset'] === hash)

describe.each(backends)(`SIGKILL on iptables-%s, seed ${seed}`, (backend) => {
  let sandbox: Sandbox
  let shim: Awaited<ReturnType<typeof createKillShim>>
  let mount: Awaited<ReturnType<typeof createMount>>
  let folder: string
  let agent: AgentProcess | undefined
  let pristine: string
  const known = new Map<GenerationName, Known>()
  const tally: Record<string, number> = {}

  beforeAll(async () => {
    ;[sandbox, shim, mount] = await Promise.all([createSandbox(), createKillShim(), createMount(generations.a)])
    for (const port of [closedPort, openPort]) await sandbox.node.listen('udp', port)
    await sandbox.internet.listen('tcp', probedPort)
    for (const name of ['iptables', 'ip6tables'])
      await sandbox.node.exec(`${name}-${backend}`, ['--wait', '-A', 'INPUT', '-p', 'esp', '-j', 'DROP'])
    await sandbox.node.exec('ipset', ['create', 'foreign', 'hash:ip'])
    pristine = await dumpStill()
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-kills-'))
    await mount.write(generations.a)
  })
  afterEach(async () => {
    await agent?.stop()
    agent = undefined
    await clean()
    await rm(folder, { recursive: true })
  })
  afterAll(async () => {
    await Promise.all([mount.remove(), shim.remove(), sandbox.close()])
    console.info(`kills on iptables-${backend}, seed ${seed}:`, JSON.stringify(tally))
  })

  const onHost = () => [
    '--state-dir',
    join(folder, 'state'),
    '--lock-file',
    join(folder, 'lock'),
    '--status-file',
    join(folder, 'status.json'),
  ]
  const start = async (deadlineSeconds: number) => {
    const args = ['--backend', backend, '--confirm-deadline', String(deadlineSeconds), ...onHost()]
    return startAgent(sandbox.node, { rules: mount.folder, args, env: shim.env, inNetwork: true })
  }
  const runClean = () => {
    const args = ['clean', '--target-pid', String(sandbox.node.pid), '--unit-dir', join(folder, 'units')]
    return execa(process.execPath, [main, ...args, ...onHost()], { env: shim.env, reject: false })
  }
  const clean = async () => {
    const { exitCode, all, stderr } = await runClean()
    expect(exitCode, `${all} ${stderr}`).toBe(0)
    expect(await readdir(folder)).toEqual([])
    expect(await dumpStill()).toBe(pristine)
  }
  /** Packets that meet the base chains count. */
  const dumpStill = async () => (await dump(sandbox.node)).replaceAll(/^(:.*) \[\d+:\d+\]$/gm, '$1')
  const read = async (): Promise<InForce> => {
    const [ipv4, ipv6] = await Promise.all(
      families.map(async (family) => readInForce(sandbox.node, backend, family)),
    )
    return { ipv4: ipv4 ?? '', ipv6: ipv6 ?? '' }
  }

  /** Takes note of what a generation looks like that nothing has disturbed. */
  async function learn(name: GenerationName, line: LogLine): Promise<Known> {
    const [inForce, names] = [await read(), await readNames(sandbox.node, backend)]
    known.set(name, { hash: String(line['ruleset']), inForce, names })
    expect(inForce.ipv4).toContain('node-firewall')
    return { hash: String(line['ruleset']), inForce, names }
  }

  /** Each family holds one of two generations, whole; tells which. */
  async function checkWhole(before: InForce, after: InForce): Promise<void> {
    const now = await read()
    const found = families.map((family) => {
      expect([before[family], after[family]]).toContain(now[family])
      return now[family] === after[family] ? 'new' : 'old'
    })
    const which = new Set(found).size > 1 ? 'a family each' : (found[0] ?? '')
    tally[which] = (tally[which] ?? 0) + 1
  }

  /** Exactly one generation is in force, nothing else of ours is left, and what is kept on the host agrees. */
  async function checkConverged({ hash, inForce, names }: Known): Promise<void> {
    expect(await read()).toEqual(inForce)
    expect(await readNames(sandbox.node, backend)).toEqual(names)
    expect((await readdir(join(folder, 'state'))).toSorted()).toEqual(['journal', 'last-good'])
    const { lastGood, trial, problems } = await openStateFolder(join(folder, 'state')).read()
    expect({ hash: lastGood?.hash, trial, problems }).toEqual({ hash, trial: undefined, problems: [] })
    expect((await sandbox.node.exec('ipset', ['list', '-name'])).stdout).toContain('foreign\n')
  }

  /** Sends datagrams to the closed port while something is done: none gets in. */
  async function underLoad(family: Family, work: () => Promise<void>): Promise<void> {
    const [closed, open] = await Promise.all(
      [closedPort, openPort].map(async (port) =>
        sandbox.internet.stream(nodeAddress[family], port, port === closedPort ? 'blast' : 'echo'),
      ),
    )
    try {
      await work()
    } finally {
      expect((await closed?.stop())?.sent).toBeGreaterThan(100)
      const answered = await open?.stop()
      expect(answered?.answered).toBeGreaterThan(0)
      expect(await sandbox.node.received(closedPort)).toBe(0)
    }
  }

  type Change = {
    readonly files: Readonly<Record<string, string>>
    readonly isOver: (line: LogLine) => boolean
    readonly old: Known
    readonly next: Known
    /** What is in force when it is over. */
    readonly outcome: Known
    readonly deadlineSeconds: number
  }

  /** Makes a change, kills, looks at what is there, and lets the next agent end it. */
  async function disturb(change: Change, moment: Moment, size: Size): Promise<void> {
    const { files, isOver, old, next, outcome, deadlineSeconds } = change
    const { place, fall, delayMs } = moment
    agent ??= await start(deadlineSeconds)
    const victim = agent
    await shim.arm(
      victim.pid,
      fall === 'timed' ? undefined : { command: 1 + Math.floor(place * size.commands), fall, delayMs },
    )
    const timer =
      fall === 'timed' ? setTimeout(() => victim.signal('SIGKILL'), place * size.ms) : undefined
    await mount.write(files)
    const over = await victim.next(isOver).catch(ignoreEnd)
    clearTimeout(timer)
    if (fall !== 'command') {
      await victim.kill()
      agent = undefined
    }
    await shim.disarm()
    tally[over === undefined ? fall : `${fall} at rest`] = (tally[over === undefined ? fall : `${fall} at rest`] ?? 0) + 1
    if (agent === undefined) {
      await checkWhole(old.inForce, next.inForce)
      agent = await start(deadlineSeconds)
      await agent.next(isOver)
    }
    await checkConverged(outcome)
  }

  type Size = { readonly commands: number; readonly ms: number }

  /** The same without a kill: how many commands it takes, and how long. */
  async function rehearse(files: Readonly<Record<string, string>>, isOver: (line: LogLine) => boolean) {
    if (agent === undefined) throw new Error('no agent runs')
    await shim.arm(agent.pid)
    const startedAt = performance.now()
    await mount.write(files)
    const line = await agent.next(isOver)
    const size = { commands: await shim.count(), ms: performance.now() - startedAt }
    await shim.disarm()
    return { line, size }
  }

  const changes = [
    ['apply', 'b'],
    ['switch', 'switched'],
  ] as const
  test.each(changes)('%s: each family has the old or the new generation, and the next agent ends it', async (phase, other) => {
    agent = await start(30)
    const first = await learn('a', await agent.next(enforcing()))
    const over = (line: LogLine) => line['ruleset'] !== first.hash && enforcing()(line)
    const { line, size } = await rehearse(generations[other], over)
    const second = await learn(other, line)
    let [old, next, to] = [second, first, 'a' as GenerationName]
    for (const [index, moment] of momentsOf(phase, backend).entries()) {
      const change = { files: generations[to], isOver: enforcing(next.hash), old, next, outcome: next, deadlineSeconds: 30 }
      const work = async () => disturb(change, moment, size)
      await (index % 3 === 0 ? underLoad(families[index % 2] ?? 'ipv4', work) : work())
      ;[old, next, to] = [next, old, to === 'a' ? other : 'a']
    }
  }, 600_000)

  test('rollback: the same, and what was rolled back is not tried again', async () => {
    agent = await start(1)
    const good = await learn('a', await agent.next(enforcing()))
    const version = (number: number) => {
      const text = generations.bad['worker.yaml']
      return { ...generations.bad, 'worker.yaml': `# try ${number}\n${text}` }
    }
    const rolledBack = ({ state }: LogLine) => state === 'RolledBack'
    const trying = agent.next(({ state }) => state === 'Confirming').then(async (line) => learn('bad', line))
    await mount.write(version(0))
    const bad = await trying
    await agent.next(rolledBack)
    const { size } = await rehearse(version(1), (line) => rolledBack(line) && agent?.log.filter(rolledBack).length === 2)
    for (const [index, moment] of momentsOf('rollback', backend).entries()) {
      const before = agent?.log.length ?? 0
      const isOver = (line: LogLine) => rolledBack(line) && (agent?.log.indexOf(line) ?? before) >= before
      const change = { files: version(index + 2), isOver, old: good, next: bad, outcome: good, deadlineSeconds: 1 }
      const work = async () => disturb(change, moment, size)
      await (index % 3 === 0 ? underLoad(families[index % 2] ?? 'ipv4', work) : work())
      const { quarantined } = await openStateFolder(join(folder, 'state')).read()
      expect(quarantined.map(({ hash, probe }) => ({ hash, probe }))).toEqual([{ hash: bad.hash, probe: 'server' }])
    }
  }, 600_000)

  test('clean: each family has the rules or none, and clean again or the next agent ends it', async () => {
    agent = await start(30)
    const rules = await learn('a', await agent.next(enforcing()))
    const cleanUp = async (moment?: Moment, size: Size = { commands: 0, ms: 0 }) => {
      await agent?.stop()
      agent = undefined
      const startedAt = performance.now()
      const cleaning = runClean()
      if (cleaning.pid === undefined) throw new Error('clean could not be started')
      const { place = 0, fall = 'timed', delayMs = 0 } = moment ?? {}
      await shim.arm(cleaning.pid, fall === 'timed' ? undefined : { command: 1 + Math.floor(place * size.commands), fall, delayMs })
      const timer = moment?.fall === 'timed' ? setTimeout(() => cleaning.kill('SIGKILL'), place * size.ms) : undefined
      await cleaning
      clearTimeout(timer)
      const done = { commands: await shim.count(), ms: performance.now() - startedAt }
      await shim.disarm()
      return done
    }
    const size = await cleanUp()
    for (const [index, moment] of momentsOf('clean', backend).entries()) {
      agent = await start(30)
      await agent.next(enforcing(rules.hash))
      await checkConverged(rules)
      await cleanUp(moment, size)
      tally[moment.fall] = (tally[moment.fall] ?? 0) + 1
      await checkWhole(rules.inForce, nothing)
      if (index % 2 === 0) await clean()
    }
  }, 600_000)
})

/** The agent was killed: there is no line to wait for. */
function ignoreEnd(error: unknown): undefined {
  if (!String(error).includes('the agent ended with SIGKILL')) throw error
}
