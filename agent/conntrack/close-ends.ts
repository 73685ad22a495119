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

/** A pod that ends meanwhile takes its sockets along; one that lost but a process is entered by another. */
const maxLooks = 3

/**
 * Closes the sockets of connections on the node and in its pods.
 *
 * @returns the connections that lost a socket, and what could not be done, each a sentence
 */
export async function closeEnds({ exec, self, findNamespaces }: Ends, entries: readonly Entry[]) {
  const addresses = new Set(entries.flatMap(({ orig, reply }) => [orig.src, reply.src]))
  const closed = new Set<Entry>()
  const closeIn = async (inside: Exec, here: ReadonlySet<string>) =>
    failureOf(async () => {
      const killed = await killSockets(inside, entries, (address) => here.has(address))
      for (const entry of killed) closed.add(entry)
    })
  const closeInPods = async (wanted: ReadonlySet<string>, looks: number): Promise<string | undefined> => {
    const missed = new Map<string, string>()
    const failure = await failureOf(async () => {
      for (const [pid, held] of await findNamespaces(wanted)) {
        const failed = await closeIn(insideOf(exec, pid), held)
        if (failed !== undefined) for (const address of held) missed.set(address, failed)
      }
    })
    if (failure !== undefined || missed.size === 0) return failure
    return looks > 1 ? closeInPods(new Set(missed.keys()), looks - 1) : [...missed.values()][0]
  }
  const failures = {
    'the node': addresses.intersection(self).size > 0 ? await closeIn(exec, self) : undefined,
    pods: await closeInPods(addresses.difference(self), maxLooks),
  }
  const notes = Object.entries(failures).flatMap(([whose, failure]) =>
    failure === undefined ? [] : [`sockets of ${whose} were not closed: ${failure}`],
  )
  return { closed, notes }
}

/** The message of an error from outside; any other one is thrown. */
async function failureOf(action: () => Promise<void>): Promise<string | undefined> {
  try {
    await action()
    return undefined
  } catch (error) {
    if (!(error instanceof OutsideError)) throw error
    return messageOf(error)
  }
}

function insideOf(exec: Exec, pid: number): Exec {
  return async (program, args, options) => {
    const command = inNetworkOf(pid, program, args)
    return exec(command.file, command.args, options)
  }
}
