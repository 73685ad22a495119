import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect } from 'vitest'
import { openStateFolder } from '../../agent/host/state-folder.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import { dump } from './dump.ts'
import { closedPort, generations, openPort, probedPort, readInForce, readNames } from './generations.ts'
import type { Moment } from './kill-moments.ts'
import { createKillShim } from './kill-shim.ts'
import type { KillAt } from './kill-shim.ts'

/** What the kernel holds of each family. */
export type InForce = Readonly<Record<Family, string>>
export const nothing: InForce = { ipv4: '', ipv6: '' }

/** A generation as it looks where nothing has disturbed it. */
export type Known = { readonly hash: string; readonly inForce: InForce; readonly names: readonly string[] }

export type Victim = { readonly pid: number; readonly die: () => void }

/** How much there is to be done until something is over. */
export type Size = { readonly commands: number; readonly ms: number }

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** A node with rules and sets of others too, on which agents and `clean` are killed. */
export async function createKillLab(backend: Backend) {
  const [sandbox, shim, mount] = await Promise.all([
    createSandbox(),
    createKillShim(),
    createMount(generations.a),
  ])
  const { node, internet } = sandbox
  for (const port of [closedPort, openPort]) await node.listen('udp', port)
  await internet.listen('tcp', probedPort)
  for (const name of ['iptables', 'ip6tables'])
    await node.exec(`${name}-${backend}`, ['--wait', '-A', 'INPUT', '-p', 'esp', '-j', 'DROP'])
  // One that no rule uses: nothing but good manners keeps it.
  await node.exec('ipset', ['create', 'foreign', 'hash:ip'])
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kills-'))
  const state = join(folder, 'state')
  const paths = ['--lock-file', join(folder, 'lock'), '--status-file', join(folder, 'status.json')]
  const onHost = ['--state-dir', state, ...paths]

  /** Packets that meet the policies of base chains count. */
  const dumpStill = async () => (await dump(node)).replaceAll(/^(:.*) \[\d+:\d+\]$/gm, '$1')
  const pristine = await dumpStill()
  const read = async (): Promise<InForce> => {
    const [ipv4 = '', ipv6 = ''] = await Promise.all(
      families.map(async (family) => readInForce(node, backend, family)),
    )
    return { ipv4, ipv6 }
  }
  const armFor = async (pid: number, { place, fall, delayMs }: Moment, { commands }: Size) => {
    const at: KillAt | undefined =
      fall === 'timed' ? undefined : { command: 1 + Math.floor(place * commands), fall, delayMs }
    await shim.arm(pid, at)
  }

  return {
    shim,
    mount,
    start: async (deadlineSeconds: number): Promise<AgentProcess> => {
      const args = ['--backend', backend, '--confirm-deadline', String(deadlineSeconds), ...onHost]
      return startAgent(node, { rules: mount.folder, args, env: shim.env, inNetwork: true })
    },
    startClean() {
      const args = ['clean', '--target-pid', String(node.pid), '--unit-dir', join(folder, 'units'), ...onHost]
      return execa(process.execPath, [main, ...args], { env: shim.env, reject: false })
    },
    async learn(line: LogLine): Promise<Known> {
      return {
        hash: String(line['ruleset']),
        inForce: await read(),
        names: await readNames(node, backend),
      }
    },

    /** Kills while something is done; resolves when it is done or dead, and all it has started has ended. */
    async strike(victim: Victim, moment: Moment, size: Size, work: () => Promise<unknown>): Promise<void> {
      await armFor(victim.pid, moment, size)
      const isTimed = moment.fall === 'timed'
      const timer = isTimed ? setTimeout(victim.die, moment.place * size.ms) : undefined
      await work()
      clearTimeout(timer)
      await shim.disarm()
    },
    async measure(pid: number, work: () => Promise<unknown>): Promise<Size> {
      await shim.arm(pid)
      const startedAt = performance.now()
      await work()
      const size = { commands: await shim.count(), ms: performance.now() - startedAt }
      await shim.disarm()
      return size
    },

    /** Each family holds one of two generations, whole; tells which. */
    async checkWhole(before: InForce, after: InForce): Promise<'old' | 'new' | 'one each'> {
      const now = await read()
      const found = families.map((family) => {
        if (now[family] === before[family]) return 'old'
        expect(now[family], `of ${family}`).toBe(after[family])
        return 'new'
      })
      const [first = 'old', ...others] = found
      return others.every((other) => other === first) ? first : 'one each'
    },
    /** Just this generation is in force, nothing else of ours is left, and what is kept on the host agrees. */
    async checkConverged({ hash, inForce, names }: Known): Promise<void> {
      expect(await read()).toEqual(inForce)
      expect(await readNames(node, backend)).toEqual(names)
      // The agent that runs may be writing at this moment; what one that is dead has left does not go by itself.
      const entries = async () => (await readdir(state)).toSorted()
      await expect.poll(entries, { timeout: 30_000 }).toEqual(['journal', 'last-good'])
      const { lastGood, trial, problems } = await openStateFolder(state).read()
      expect({ hash: lastGood?.hash, trial, problems }).toEqual({ hash, trial: undefined, problems: [] })
      expect((await node.exec('ipset', ['list', '-name'])).stdout).toContain('foreign\n')
      if (hash === 'none') expect(await dumpStill()).toBe(pristine)
    },
    /** The kernel and the host are as they were before the first agent. */
    async checkPristine(): Promise<void> {
      expect(await readdir(folder)).toEqual([])
      expect(await dumpStill()).toBe(pristine)
    },
    readQuarantined: async () => (await openStateFolder(state).read()).quarantined,

    /** Sends datagrams while something is done: none gets in where it is closed. */
    async underLoad(family: Family, work: () => Promise<void>): Promise<void> {
      const closed = await internet.stream(nodeAddress[family], closedPort, 'blast')
      const open = await internet.stream(nodeAddress[family], openPort, 'echo')
      await work()
      expect((await closed.stop()).sent).toBeGreaterThan(100)
      expect((await open.stop()).answered).toBeGreaterThan(0)
      expect(await node.received(closedPort)).toBe(0)
    },
    async close(): Promise<void> {
      await Promise.all([mount.remove(), shim.remove(), sandbox.close()])
      await rm(folder, { recursive: true })
    },
  }
}

export type KillLab = Awaited<ReturnType<typeof createKillLab>>
