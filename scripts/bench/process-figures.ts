import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { codeOf } from '../../agent/errors.ts'

/** In MB of 10^6 bytes. */
export type Memory = {
  /** Counts pages of the Node.js binary too, which all its processes share. */
  readonly rss: number
  readonly anonymous: number
}

export async function readMemory(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  const read = (key: string) => (Number(new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(text)?.[1]) * 1024) / 1e6
  return { rss: read('Rss'), anonymous: read('Anonymous') }
}

/** ms of CPU time, user and system, of a process, its children that have ended, and those that run. */
export async function readCpu(pid: number): Promise<number> {
  const times = await ofAll(async () => Promise.all([pid, ...(await childrenOf(pid))].map(readTimes)))
  return times.reduce((sum, time) => sum + time, 0)
}

/** In MB of 10^6 bytes, without pages that are those of a file. */
export async function readAnonymousOfChildren(pid: number): Promise<number> {
  const all = await ofAll(async () => Promise.all((await childrenOf(pid)).map(readMemory)))
  return all.reduce((sum, { anonymous }) => sum + anonymous, 0)
}

/** A child that ends in the middle is none of those that are asked again. */
async function ofAll<T>(read: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(codeOf(error) ?? '')) throw error
    }
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}

const msPerTick = 1_000 / Number(execFileSync('getconf', ['CLK_TCK']))

async function readTimes(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name, in brackets, may hold spaces; utime is field 14 of proc_pid_stat(5), then stime, cutime, cstime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * msPerTick, 0)
}
