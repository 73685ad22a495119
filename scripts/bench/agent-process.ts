import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { readImage } from './image.ts'

/** The bundled agent at work on a host of the sandbox. */
export type AgentProcess = {
  readonly pid: number
  /** When it was started, see performance.now(). */
  readonly startedAt: number
  /** Passes that have ended. */
  passes(): number
  stop(): Promise<void>
}

export type AgentProcessOptions = {
  readonly program: string
  readonly rules: string
  readonly targetPid: number
  /** Cron expression with seconds; by default so seldom that no verify pass disturbs a measurement. */
  readonly verifySchedule?: string
  /** The cluster that the node is in; without one the agent stands alone. */
  readonly cluster?: {
    readonly node: string
    readonly configMap: string
    /** File that says where the API server is. */
    readonly kubeconfig: string
  }
}

/**
 * Starts the agent as the image does, with the same flags of Node.js. It ends with this process at the
 * latest.
 */
export async function startAgent(options: AgentProcessOptions): Promise<AgentProcess> {
  const { program, rules, targetPid, verifySchedule = never, cluster } = options
  const { env, nodeFlags } = await readImage()
  const flags = {
    rules,
    'target-pid': String(targetPid),
    'verify-schedule': verifySchedule,
    'reapply-schedule': never,
    'status-file': join(rules, '..', 'status.json'),
    'state-dir': join(rules, '..', 'state'),
    'lock-file': join(rules, '..', 'lock'),
    'health-address': 'off',
    'log-level': 'debug',
    ...(cluster === undefined ? {} : { node: cluster.node, 'watch-configmaps': cluster.configMap }),
  }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
  const place = cluster === undefined ? ['--standalone'] : []
  const startedAt = performance.now()
  const child = execa(process.execPath, [...nodeFlags, program, 'agent', ...place, ...args], {
    env: { ...env, KUBECONFIG: cluster?.kubeconfig },
    buffer: false,
    stdin: 'ignore',
    stderr: 'inherit',
    reject: false,
    // When this process is interrupted: the agent shall not write its status into a folder that is gone.
    killSignal: 'SIGKILL',
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the agent could not be started')
  let passes = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.includes('"reasons":')) passes += 1
  })
  return {
    pid,
    startedAt,
    passes: () => passes,
    async stop() {
      child.kill('SIGTERM')
      await child
    },
  }
}

const never = '0 0 0 29 2 *'
