import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A disk of 64 KiB that only one process sees: it is mounted in a mount namespace of that process's own. */
export type SmallDisk = {
  readonly folder: string
  /** Stands before the command line of the process that gets the disk, and keeps its number. */
  readonly command: readonly [string, ...string[]]
  fill(pid: number): Promise<void>
  /** Removes what has filled it. */
  free(pid: number): Promise<void>
  makeReadOnly(pid: number): Promise<void>
  makeWritable(pid: number): Promise<void>
  /** What a file on it holds. */
  read(pid: number, name: string): Promise<string>
  /** When the process has ended. */
  remove(): Promise<void>
}

export async function createSmallDisk(from: 'empty' | 'full' | 'read-only' = 'empty'): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-disk-'))
  const filler = join(folder, 'filler')
  // It ends with an error when there is no room left.
  const fill = `! dd if=/dev/zero of=${filler} bs=4k status=none 2>/dev/null`
  const first = { empty: 'true', full: fill, 'read-only': `mount -o remount,ro ${folder}` }[from]
  const script = `mount -t tmpfs -o size=64k tmpfs ${folder} && ${first} && exec "$@"`
  const inside = async (pid: number, ...command: readonly string[]) => {
    await run('nsenter', ['--target', String(pid), '--mount', '--', ...command])
  }
  return {
    folder,
    command: ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'],
    fill: async (pid) => inside(pid, 'sh', '-c', fill),
    free: async (pid) => inside(pid, 'rm', filler),
    makeReadOnly: async (pid) => inside(pid, 'mount', '-o', 'remount,ro', folder),
    makeWritable: async (pid) => inside(pid, 'mount', '-o', 'remount,rw', folder),
    read: async (pid, name) => readFile(`/proc/${pid}/root${join(folder, name)}`, 'utf8'),
    remove: async () => rm(folder, { recursive: true }),
  }
}
