import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { agentPod } from '../sandbox/control-plane/addresses.ts'
import { plainWays, takeWays } from '../sandbox/control-plane/vitals.ts'
import type { Ways } from '../sandbox/control-plane/vitals.ts'
import { createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'
import { rulesetOf } from '../kernel/enforce.ts'

/** A node with its control plane, its mounted rules and its state folder, on which one agent follows another. */
export type TrialNode = {
  readonly backend: Backend
  readonly sandbox: ControlPlane
  readonly stateDir: string
  readonly lockFile: string
  readonly mount: Awaited<ReturnType<typeof createMount>>
  /** Writes a Ruleset with this `spec`, called `test` unless it has another name, in the place of all that is written. */
  write(spec: object, name?: string): Promise<void>
  /** Both sides go these ways from now on. An agent that is started later does. */
  take(ways: Partial<Ways>): Promise<void>
  /** The kubeconfig of these ways. */
  kubeconfig(): string
  /** Starts an agent, which ends with the sandbox at the latest. Its verify passes run when asked for. */
  start(...args: readonly string[]): Promise<AgentProcess>
  close(): Promise<void>
}

export type TrialNodeOptions = {
  readonly backend: Backend
  /** How long a change may take to be confirmed: those that pass do not need it. */
  readonly deadlineSeconds?: number
}

const never = '0 0 1 1 *'

export async function openTrialNode({ backend, deadlineSeconds = 30 }: TrialNodeOptions): Promise<TrialNode> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-trials-'))
  const [stateDir, lockFile] = [join(folder, 'state'), join(folder, 'lock')]
  const [sandbox, mount] = await Promise.all([
    createControlPlane({ backend, leaseEveryMs: 250 }),
    createMount({}),
  ])
  let kubeconfig = await takeWays(sandbox, plainWays)
  const agents: AgentProcess[] = []
  const fixed = [
    `--backend=${backend}`,
    `--pod=${agentPod.name}`,
    `--lock-file=${lockFile}`,
    `--confirm-deadline=${deadlineSeconds}`,
    `--verify-schedule=${never}`,
    `--reapply-schedule=${never}`,
  ]
  return {
    backend,
    sandbox,
    stateDir,
    lockFile,
    mount,
    write: async (spec, name) => mount.write({ 'rules.yaml': rulesetOf(spec, name) }),
    async take(ways) {
      kubeconfig = await takeWays(sandbox, { ...plainWays, ...ways })
    },
    kubeconfig: () => kubeconfig,
    async start(...args) {
      const setting = { rules: mount.folder, stateDir, kubeconfig, inNetwork: true }
      const agent = await startAgent(sandbox.node, { ...setting, args: [...fixed, ...args] })
      agents.push(agent)
      return agent
    },
    async close() {
      await Promise.all(agents.map(async (agent) => agent.kill()))
      await Promise.all([sandbox.close(), mount.remove(), rm(folder, { recursive: true, force: true })])
    },
  }
}

/** A line of a pass that found this state. */
export function inState(...states: readonly string[]): (line: LogLine) => boolean {
  return ({ state }) => typeof state === 'string' && states.includes(state)
}

/** The lines that tell of writes to the kernel, so far. */
export function writesOf({ log }: Pick<AgentProcess, 'log'>): readonly LogLine[] {
  return log.filter(({ msg }) => msg === 'rules written')
}

/** Asks for a pass, and waits until it has come to its end. */
export async function passOnce(agent: AgentProcess): Promise<LogLine> {
  agent.signal('SIGHUP')
  return agent.next(({ reasons }) => Array.isArray(reasons) && reasons.includes('signal'))
}

/**
 * Waits until the text that was written last is confirmed.
 *
 * @throws {Error} when it is rolled back, or no such line comes
 */
export async function untilConfirmed(agent: AgentProcess): Promise<void> {
  const ends = ['the change is confirmed', 'the change is rolled back']
  const end = await agent.next(({ msg }) => ends.includes(msg))
  if (end.msg !== ends[0]) throw new Error(`not confirmed: ${JSON.stringify(end)}`)
  await agent.next(inState('Enforcing', 'Auditing'))
}

/** A ruleset that harms nobody: a long list of addresses is turned away, which becomes a set, and a port is closed. */
export function goodSpec(port: number): object {
  const bad = Array.from({ length: 20 }, (_, index) => `203.0.113.${100 + index * 2}`)
  return {
    sets: { bad },
    rules: [
      { name: 'bad', action: 'drop', from: ['bad'] },
      { name: 'closed', action: 'reject', protocol: 'tcp', ports: [port] },
      // By it the agent looks at sets of the cluster, which a change after it then need not wait for.
      { name: 'nodes', action: 'accept', protocol: 'tcp', ports: [port], from: ['nodes', 'apiServers'] },
    ],
  }
}
