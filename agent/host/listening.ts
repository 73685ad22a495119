import { createReadStream } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { codeOf } from '../errors.ts'
import type { TargetPid } from './exec.ts'
import { isListening, parseSockets } from './sockets.ts'
import type { Listening, SocketTable } from './sockets.ts'

export type { Listening } from './sockets.ts'

export type ListeningOptions = {
  /** Processes, as in `/proc/<pid>/comm`, whose sockets get their name; reading those of all would take long. */
  readonly processes?: readonly string[]
  readonly proc?: string
}

/**
 * Reads the ports on which the network namespace of a process listens, without any command.
 *
 * @throws a system error when /proc cannot be read
 */
export async function readListeningPorts(
  targetPid: TargetPid,
  { processes = [], proc = '/proc' }: ListeningOptions = {},
): Promise<readonly Listening[]> {
  const tables = await Promise.all(
    (['tcp', 'tcp6', 'udp', 'udp6'] as const).map(async (table) => {
      const lines = await readTable(join(proc, String(targetPid), 'net', table), table)
      return parseSockets(lines, table)
    }),
  )
  if (processes.length === 0) return tables.flat()
  const owners = await readOwners(proc, new Set(processes))
  return tables.flat().map((socket) => {
    const process = owners.get(socket.inode)
    return process === undefined ? socket : { ...socket, process }
  })
}

/** The kernel prints sockets that listen first: on a node with 100,000 connections the rest is not worth reading. */
async function readTable(path: string, table: SocketTable): Promise<string[]> {
  const lines: string[] = []
  const stream = createReadStream(path, { encoding: 'utf8' })
  try {
    for await (const line of createInterface({ input: stream })) {
      if (lines.length > 0 && table.startsWith('tcp') && !isListening(line, table)) break
      lines.push(line)
    }
  } catch (error) {
    // A kernel without IPv6 has no such file.
    if (codeOf(error) !== 'ENOENT' || !table.endsWith('6')) throw error
  } finally {
    stream.destroy()
  }
  return lines
}

/** The names of processes by the inodes of their sockets. */
async function readOwners(proc: string, names: ReadonlySet<string>): Promise<Map<number, string>> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const name = (await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '')).trimEnd()
      return names.has(name)
        ? (await readInodes(join(proc, pid, 'fd'))).map((inode) => [inode, name] as const)
        : []
    }),
  )
  return new Map(found.flat())
}

/** The inodes of the sockets in a folder of open files. Processes and files may end at any time: what is gone owns nothing. */
export async function readInodes(folder: string): Promise<number[]> {
  const files = await readdir(folder).catch(() => [])
  const targets = await Promise.all(files.map(async (file) => readlink(join(folder, file)).catch(() => '')))
  return targets.flatMap((target) => {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    return inode === undefined ? [] : [Number(inode)]
  })
}
