import { readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createExec } from '../../agent/host/exec.ts'
import type { Exec } from '../../agent/host/exec.ts'
import { startChild } from './child.ts'
import type { Call, Outcome, Probe, Protocol, Request, StreamCount, Visit } from './protocol.ts'

export type ProbeSetting = Omit<Probe, 'silenceMs'> & { readonly silenceMs?: number }

/** A machine of the sandbox: a network namespace, and a process in it that holds it open. */
export type Host = {
  readonly pid: number
  /** Runs a program on it; rejects when it fails. */
  readonly exec: Exec
  listen(protocol: Protocol, port: number): Promise<void>
  probe(probe: ProbeSetting): Promise<Outcome>
  /** Probes, and lets the server say which host it runs on and what source address it sees. */
  call(probe: ProbeSetting): Promise<Call>
  /** How many connections or datagrams have come in on a port. */
  received(port: number): Promise<number>
  /** The latest 100 of them as the server saw them, oldest first. */
  visits(port: number): Promise<readonly Visit[]>
  /** Sends datagrams until stopped. */
  stream(address: string, port: number, mode: 'blast' | 'echo'): Promise<{ stop(): Promise<StreamCount> }>
  close(): Promise<void>
}

/** How long a client waits before it takes no answer for a drop: answers in a sandbox take well under 1 ms. */
const silenceMs = 300

/**
 * Starts a host that is connected to nothing yet. It ends with this process at the latest.
 *
 * @param name that its servers tell their clients.
 */
export async function startHost(name = 'host'): Promise<Host> {
  const endpoint = join(import.meta.dirname, 'endpoint.ts')
  const args = ['--net', '--', process.execPath, endpoint, name]
  const { pid, ask, close } = startChild<Request>('unshare', args)
  // The first answer says that unshare has done its work and the namespace is the host's own.
  await ask({ kind: 'received', port: 0 })
  if ((await readlink(`/proc/${pid}/ns/net`)) === (await readlink('/proc/self/ns/net'))) {
    throw new Error('starting a host: it is in the namespace of this machine')
  }
  return {
    pid,
    exec: createExec(pid),
    listen: async (protocol, port) => ask({ kind: 'listen', protocol, port }),
    probe: async (probe) => ask({ kind: 'probe', silenceMs, ...probe }),
    call: async (probe) => ask({ kind: 'call', silenceMs, ...probe }),
    received: async (port) => ask({ kind: 'received', port }),
    visits: async (port) => ask({ kind: 'visits', port }),
    async stream(address, port, mode) {
      const name = `${address} ${port} ${mode}`
      await ask({ kind: 'stream', name, address, port, mode })
      return { stop: async () => ask<StreamCount>({ kind: 'stop', name }) }
    },
    close,
  }
}
