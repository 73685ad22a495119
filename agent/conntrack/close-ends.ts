import { messageOf, OutsideError } from '../errors.ts'
import { inNetworkOf } from '../host/exec.ts'
import type { Exec } from '../host/exec.ts'
import type { Entry } from './entry.ts'
import { killSockets } from './kill-sockets.ts'
import type { FindNamespaces } from './pod-namespaces.ts'

/** Where sockets of the node's connections can be. */
export type Ends = {
  readonly exec: Exec
  readonly self: ReadonlySet<string>
  readonly findNamespaces: FindNamespaces
}

/**
 * Closes the sockets of connections on the node and in its pods.
 *
 * @returns the connections that lost a socket, and what could not be done, each a sentence
 */
export async function closeEnds({ exec, self, findNamespaces }: Ends, entries: readonly Entry[]) {
  const addresses = new Set(entries.flatMap(({ orig, reply }) => [orig.src, reply.src]))
  const closed = new Set<Entry>()
  const notes: string[] = []
  const attempt = async (what: string, action: () => Promise<unknown>) => {
    try {
      await action()
    } catch (error) {
      if (!(error instanceof OutsideError)) throw error
      notes.push(`${what}: ${messageOf(error)}`)
    }
  }
  const closeIn = async (inside: Exec, isHere: (address: string) => boolean) => {
    for (const entry of await killSockets(inside, entries, isHere)) closed.add(entry)
  }
  if (addresses.intersection(self).size > 0) {
    await attempt('sockets of the node were not closed', async () =>
      closeIn(exec, (address) => self.has(address)),
    )
  }
  await attempt('sockets of pods were not closed', async () => {
    const namespaces = await findNamespaces(addresses.difference(self))
    for (const [pid, held] of namespaces) await closeIn(insideOf(exec, pid), (address) => held.has(address))
  })
  return { closed, notes }
}

function insideOf(exec: Exec, pid: number): Exec {
  return async (program, args, options) => {
    const command = inNetworkOf(pid, program, args)
    return exec(command.file, command.args, options)
  }
}
