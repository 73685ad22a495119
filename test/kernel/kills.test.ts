import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { generations } from './generations.ts'
import type { Files } from './generations.ts'
import { createKillLab, nothing } from './kill-lab.ts'
import type { KillLab, Known, Size } from './kill-lab.ts'
import { momentsOf, seed } from './kill-moments.ts'
import type { Moment } from './kill-moments.ts'

const backends = await usableBackends()
const patienceMs = 900_000

const enforcing = ({ state }: LogLine) => state === 'Enforcing'
const inForce = (hash: string) => (line: LogLine) =>
  line['ruleset'] === hash && (enforcing(line) || line['state'] === 'Off')
const confirming = ({ state }: LogLine) => state === 'Confirming'
const rolledBack = ({ state }: LogLine) => state === 'RolledBack'

describe.each(backends)(`SIGKILL on iptables-%s, seed ${seed}`, (backend) => {
  let lab: KillLab
  let agent: AgentProcess | undefined
  /** How often who was killed when, and what was in force then. */
  const tally: Record<string, number> = {}

  beforeAll(async () => {
    lab = await createKillLab(backend)
  })
  beforeEach(async () => lab.mount.write(generations.a))
  afterEach(async () => {
    await agent?.stop()
    agent = undefined
    await lab.startClean()
    await lab.checkPristine()
  })
  afterAll(async () => {
    await lab.close()
    console.info(`SIGKILL on iptables-${backend}, seed ${seed}:`, JSON.stringify(tally))
  })

  const count = (what: string) => (tally[what] = (tally[what] ?? 0) + 1)
  /** Every third one under load. */
  const inTurn = async (index: number, work: () => Promise<void>) =>
    index % 3 === 0 ? lab.underLoad(families[index % families.length] ?? 'ipv4', work) : work()

  type Change = {
    readonly files: Files
    /** What the agent says at the end that began with the change, and what one says that comes later. */
    readonly isOver: (line: LogLine) => boolean
    readonly converged: (line: LogLine) => boolean
    readonly old: Known
    readonly next: Known
    /** What is in force when it is over. */
    readonly outcome: Known
    readonly deadlineSeconds: number
  }

  /** Makes a change, kills, looks at what is there, and lets the next agent end it. */
  async function disturb(change: Change, moment: Moment, size: Size): Promise<void> {
    const { files, isOver, converged, old, next, outcome, deadlineSeconds } = change
    const victim = (agent ??= await lab.start(deadlineSeconds))
    const dying = { pid: victim.pid, die: () => victim.signal('SIGKILL') }
    await lab.strike(dying, moment, size, async () => {
      await lab.mount.write(files)
      await victim.next(isOver).catch(ignoreEnd)
      // Whoever outlives the death of a command has to go on by himself.
      if (moment.fall !== 'command') await victim.kill()
    })
    count(moment.fall)
    if (moment.fall !== 'command') {
      count(await lab.checkWhole(old.inForce, next.inForce))
      agent = await lab.start(deadlineSeconds)
      await agent.next(converged)
    }
    await lab.checkConverged(outcome)
  }

  test.each([
    ['apply', 'b'],
    ['switch', 'switched'],
    ['remove', 'none'],
  ] as const)(
    '%s: each family has the old or the new generation, and the next agent ends it',
    async (phase, name) => {
      agent = await lab.start(30)
      const first = await lab.learn(await agent.next(enforcing))
      const { files, line, size } = await rehearse(agent, generations[name], (line) => {
        return line['ruleset'] !== first.hash && inForce(String(line['ruleset']))(line)
      })
      const second = await lab.learn(line)
      let [old, next] = [second, first]
      const moments = momentsOf(phase, backend, backends)
      expect(moments.length).toBeGreaterThan(0)
      for (const [index, moment] of moments.entries()) {
        const isOver = inForce(next.hash)
        const to = next === first ? generations.a : files
        const change = { files: to, isOver, converged: isOver, old, next, outcome: next, deadlineSeconds: 30 }
        const work = async () => disturb(change, moment, size)
        await (phase === 'remove' ? work() : inTurn(index, work))
        ;[old, next] = [next, old]
      }
    },
    patienceMs,
  )

  test(
    'rollback: the same, and what was rolled back is not tried again',
    async () => {
      agent = await lab.start(1)
      const good = await lab.learn(await agent.next(enforcing))
      // Only another text is tried again.
      const version = (number: number) => {
        const { 'worker.yaml': text, ...others } = generations.bad
        return { ...others, 'worker.yaml': `# try ${number}\n${text}` }
      }
      await lab.mount.write(version(0))
      const bad = await lab.learn(await agent.next(confirming))
      await agent.next(rolledBack)
      const { size } = await rehearse(agent, version(1), afterAnotherTry())
      for (const [index, moment] of momentsOf('rollback', backend, backends).entries()) {
        const files = version(index + 2)
        const until = { isOver: afterAnotherTry(), converged: rolledBack }
        const change = { files, ...until, old: good, next: bad, outcome: good, deadlineSeconds: 1 }
        await inTurn(index, async () => disturb(change, moment, size))
        const quarantined = await lab.readQuarantined()
        expect(quarantined.map(({ hash }) => hash)).toEqual([bad.hash])
      }
    },
    patienceMs,
  )

  test(
    'clean: each family has the rules or none, and clean again or the next agent ends it',
    async () => {
      agent = await lab.start(30)
      const rules = await lab.learn(await agent.next(enforcing))
      await agent.stop()
      const undisturbed = lab.startClean()
      const size = await lab.measure(pidOf(undisturbed), async () => undisturbed)
      const moments = momentsOf('clean', backend, backends)
      expect(moments.length).toBeGreaterThan(0)
      for (const [index, moment] of moments.entries()) {
        agent = await lab.start(30)
        await agent.next(inForce(rules.hash))
        await lab.checkConverged(rules)
        await agent.stop()
        const cleaning = lab.startClean()
        const dying = { pid: pidOf(cleaning), die: () => void cleaning.kill('SIGKILL') }
        await lab.strike(dying, moment, size, async () => cleaning)
        count(moment.fall)
        count(await lab.checkWhole(rules.inForce, nothing))
        if (index % 2 !== 0) continue
        await lab.startClean()
        await lab.checkPristine()
      }
    },
    patienceMs,
  )

  /** A change that nothing disturbs: how much there is to be done. */
  async function rehearse(actor: AgentProcess, files: Files, isOver: (line: LogLine) => boolean) {
    let line: LogLine | undefined
    const size = await lab.measure(actor.pid, async () => {
      await lab.mount.write(files)
      line = await actor.next(isOver)
    })
    if (line === undefined) throw new Error('the agent has said nothing')
    return { files, line, size }
  }
})

function afterAnotherTry() {
  let tried = false
  return (line: LogLine) => {
    tried ||= confirming(line)
    return tried && rolledBack(line)
  }
}

function pidOf({ pid }: { readonly pid?: number | undefined }): number {
  if (pid === undefined) throw new Error('clean could not be started')
  return pid
}

/** The agent was killed: there is no line to wait for. */
function ignoreEnd(error: unknown): void {
  if (!String(error).includes('the agent ended with SIGKILL')) throw error
}
