import { join } from 'node:path'
import type { Exec } from './exec.ts'
import { readInodes } from './listening.ts'

/** A TCP connection of a process, and the address of its other end. */
export type Held = { readonly inode: number; readonly peer: string }

/**
 * Reads the established TCP connections of a process to one port of others. The kernel chooses them, so that it costs
 * the same on a node with 100,000 other connections.
 *
 * @throws {CommandError} when ss(8) fails
 */
export async function readHeld(exec: Exec, pid: number, port: number, proc = '/proc'): Promise<Held[]> {
  const filter = ['state', 'established', `( dport = :${port} )`]
  const { stdout } = await exec('ss', ['-H', '-t', '-n', '-e', ...filter])
  const all = parseHeld(stdout)
  if (all.length === 0) return []
  const own = new Set(await readInodes(join(proc, String(pid), 'fd')))
  return all.filter(({ inode }) => own.has(inode))
}

/** Lines such as `0 0 10.0.0.7:40000 192.0.2.6:443 timer:(keepalive,12sec,0) ino:4711 sk:1 <->`. */
export function parseHeld(text: string): Held[] {
  return text.split('\n').flatMap((line) => {
    const { peer, inode } = ROW.exec(line)?.groups ?? {}
    if (peer === undefined || inode === undefined) return []
    return [{ inode: Number(inode), peer: peer.replace(/^\[(.*)\]$/, '$1').replace(/^::ffff:(?=\d+\.)/, '') }]
  })
}

const ROW = /^ *\d+ +\d+ +\S+ +(?<peer>\S+):\d+ .*\bino:(?<inode>\d+)/
