import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import { inNetworkOf } from '../../agent/host/exec.ts'
import type { Host } from './host.ts'
import { checkAnnotations } from '../status/check-annotations.ts'
import { confinedPid, confinedTo } from './confine.ts'
import type { SmallDisk } from './small-disk.ts'

/** A line of the agent's log. */
export type LogLine = { readonly level: string; readonly msg: string; readonly [key: string]: unknown }

/** The real agent, as a process of its own, on a host of a sandbox. */
export type AgentProcess = {
  readonly pid: number
  readonly log: readonly LogLine[]
  /**
   * The first line from here on that fits; lines up to it are not looked at again.
   *
   * @throws {Error} with what the agent said last, when it ends, or says no such line for a long time
   */
  next(fits: (line: LogLine) => boolean): Promise<LogLine>
  /** The status file: annotations as a Node would carry them. */
  status(): Promise<Record<string, string>>
  signal(signal: 'SIGHUP' | 'SIGTERM' | 'SIGKILL'): void
  /** Ends it with SIGTERM; resolves to its exit code. */
  stop(): Promise<number | null>
  /** Ends it with SIGKILL, as a node that loses its power does: it cannot tidy up. */
  kill(): Promise<void>
}

export type AgentSetting = {
  readonly rules: string
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What outlives the agent; without it each has a folder of its own. */
  readonly stateDir?: string
  /** File that says where the API server is; without it the agent stands alone. */
  readonly kubeconfig?: string
  /** It runs in the network namespace of the host too, as on a node, and not only its commands do. */
  readonly inNetwork?: boolean
  /** It has only what a pod without privileges has, in the network of the host. */
  readonly confined?: boolean
  /** A small disk of its own, which can be filled, and made read-only. */
  readonly disk?: SmallDisk
  readonly statusFile?: string
  readonly lockFile?: string
}

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** A little less than the time a test has, which when it is over does not say what was waited for. */
const patienceMs = 170_000

export async function startAgent(host: Host, setting: AgentSetting): Promise<AgentProcess> {
  const { rules, args = [], env = {}, kubeconfig, confined = false, inNetwork = confined, stateDir } = setting
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-agent-'))
  const { statusFile = join(folder, 'status.json'), lockFile = join(folder, 'lock') } = setting
  const fixed = ['--node', 'test-node', '--health-address', 'off', '--log-level', 'debug']
  const cluster = kubeconfig === undefined ? ['--standalone'] : []
  const state = ['--state-dir', stateDir ?? join(folder, 'state'), '--lock-file', lockFile]
  const target = confined ? 'self' : String(host.pid)
  const own = ['--rules', rules, '--target-pid', target, '--status-file', statusFile, ...state]
  const command = [main, 'agent', ...fixed, ...cluster, ...own, ...args]
  const confinement = confined ? confinedTo([folder, ...(stateDir === undefined ? [] : [stateDir])]) : []
  const before = [...confinement, ...(setting.disk?.command ?? [])]
  const [program = process.execPath, ...all] = [...before, process.execPath, ...command]
  const started = inNetwork ? inNetworkOf(host.pid, program, all) : { file: program, args: all }
  const child = spawn(started.file, started.args, {
    env: { ...process.env, KUBECONFIG: kubeconfig, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const log: LogLine[] = []
  let cursor = 0
  let wake = () => {}
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.push(JSON.parse(line) as LogLine)
    wake()
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve)).then(async (code) => {
    wake()
    await rm(folder, { recursive: true, force: true })
    return code
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the agent could not be started')
  const send = (signal: NodeJS.Signals) =>
    confined && child.exitCode === null ? process.kill(confinedPid(pid), signal) : child.kill(signal)
  return {
    pid,
    log,
    async next(fits) {
      const givenUp = AbortSignal.timeout(patienceMs)
      givenUp.addEventListener('abort', () => wake())
      for (;;) {
        while (cursor < log.length) {
          const line = log[cursor]
          cursor += 1
          if (line !== undefined && fits(line)) return line
        }
        const { exitCode, signalCode } = child
        if (exitCode !== null || signalCode !== null) {
          throw new Error(`the agent ended with ${signalCode ?? exitCode}${lastWords(log)}`)
        }
        if (givenUp.aborted) throw new Error(`no such line in ${patienceMs / 1000} s${lastWords(log)}`)
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    async status() {
      // It is written after the line in the log.
      while (!existsSync(statusFile) && child.exitCode === null) await setImmediate()
      return checkAnnotations(JSON.parse(await readFile(statusFile, 'utf8')) as Record<string, string>)
    },
    signal: (signal) => void send(signal),
    async stop() {
      send('SIGTERM')
      return ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function lastWords(log: readonly LogLine[]): string {
  return ['; the agent said last:', ...log.slice(-40).map((line) => JSON.stringify(line))].join('\n')
}

/** A folder that changes as a mounted ConfigMap does: all files at once, by one rename of `..data`. */
export async function createMount(files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-rules-'))
  let version = 0
  const write = async (contents: Readonly<Record<string, string | Uint8Array>>) => {
    version += 1
    const data = `..2026_01_01.${version}`
    await mkdir(join(folder, data))
    for (const [name, text] of Object.entries(contents)) {
      await writeFile(join(folder, data, name), text)
      await symlink(join('..data', name), join(folder, name)).catch(() => {}) // it is there since the last version
    }
    await symlink(data, join(folder, '..data_tmp'))
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    await rm(join(folder, `..2026_01_01.${version - 1}`), { recursive: true, force: true })
  }
  await write(files)
  return { folder, write, remove: async () => rm(folder, { recursive: true, force: true }) }
}
