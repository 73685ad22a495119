import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { SERVICE_ACCOUNT_DIR } from '../../agent/cluster/access.ts'
import type { ApiServer } from '../../test/cluster/api-server.ts'
import { readImage } from './image.ts'

/** The bundled agent at work on a host of the sandbox. */
export type AgentProcess = {
  readonly pid: number
  /** When it was started, see performance.now(). */
  readonly startedAt: number
  /** Where it answers, if it does. */
  readonly url: string
  /** Passes that have ended. */
  passes(): number
  stop(): Promise<void>
}

export type AgentProcessOptions = {
  readonly program: string
  readonly rules: string
  readonly targetPid: number
  /** Cron expressions with seconds; by default so seldom that no such pass disturbs a measurement. */
  readonly verifySchedule?: string
  readonly reapplySchedule?: string
  /** Whether it answers probes, and Prometheus. */
  readonly serves?: boolean
  /** The cluster that the node is in; without one the agent stands alone. */
  readonly cluster?: {
    readonly node: string
    readonly configMap: string
    readonly server: Pick<ApiServer, 'host' | 'port' | 'serviceAccountDir'>
  }
}

/**
 * Starts the agent as the image does, with the same flags of Node.js. It ends with this process at the
 * latest.
 */
export async function startAgent(options: AgentProcessOptions): Promise<AgentProcess> {
  const {
    program,
    rules,
    targetPid,
    verifySchedule = never,
    reapplySchedule = never,
    serves = false,
    cluster,
  } = options
  const { env, nodeFlags } = await readImage()
  const address = serves ? `127.0.0.1:${await findFreePort()}` : 'off'
  const flags = {
    rules,
    'target-pid': String(targetPid),
    'verify-schedule': verifySchedule,
    'reapply-schedule': reapplySchedule,
    'status-file': join(rules, '..', 'status.json'),
    'state-dir': join(rules, '..', 'state'),
    'lock-file': join(rules, '..', 'lock'),
    'health-address': address,
    'log-level': 'debug',
    ...(cluster === undefined ? {} : { node: cluster.node, 'watch-configmaps': cluster.configMap }),
  }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
  const place = cluster === undefined ? ['--standalone'] : []
  const [file = '', ...before] = cluster === undefined ? [process.execPath] : inPod(cluster.server)
  const startedAt = performance.now()
  const child = execa(file, [...before, ...nodeFlags, program, 'agent', ...place, ...args], {
    env: { ...env, ...(cluster === undefined ? {} : serverOf(cluster.server)) },
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
    url: `http://${address}`,
    passes: () => passes,
    async stop() {
      child.kill('SIGTERM')
      await child
    },
  }
}

/** Node.js as in a pod, which finds its service account where a kubelet mounts it. The process keeps its number. */
function inPod({ serviceAccountDir }: Pick<ApiServer, 'serviceAccountDir'>): string[] {
  const mount = [
    'mount -t tmpfs tmpfs /run',
    `mkdir -p ${SERVICE_ACCOUNT_DIR}`,
    `mount --bind "$0" ${SERVICE_ACCOUNT_DIR}`,
  ]
  const script = [...mount, 'exec "$@"'].join(' && ')
  return ['unshare', '--mount', 'sh', '-c', script, serviceAccountDir, process.execPath]
}

function serverOf({ host, port }: Pick<ApiServer, 'host' | 'port'>): NodeJS.ProcessEnv {
  return { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port) }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

/** As an agent does by default, at some minute and second of its own. */
export const eachTenMinutes = '10 1,11,21,31,41,51 * * * *'

const never = '0 0 0 29 2 *'
