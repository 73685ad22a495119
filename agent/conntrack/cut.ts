import { setTimeout } from 'node:timers/promises'
import { messageOf, OutsideError } from '../errors.ts'
import { closeEnds } from './close-ends.ts'
import { deleteEntries } from './delete-entries.ts'
import { keyOf } from './entry.ts'
import type { Entry } from './entry.ts'
import { listDenied, listEntries } from './list-denied.ts'
import type { Search } from './list-denied.ts'
import { createFindNamespaces } from './pod-namespaces.ts'
import type { FindNamespaces } from './pod-namespaces.ts'

export type Cutting = Search & {
  /** Where sockets of pods are; by default among all namespaces of processes in /proc. */
  readonly findNamespaces?: FindNamespaces
  /** Waits for so many ms. */
  readonly pause?: (ms: number) => Promise<unknown>
}

export type Cut = {
  /** Connections that are gone. */
  readonly cut: number
  /** Connections that should be, and are not. */
  readonly failed: number
  /** What could not be done, each a sentence. */
  readonly notes: readonly string[]
}

/** How long to wait before each look whether something came back. */
const pausesMs = [20, 200, 1_000]

/**
 * Cuts standing connections that the rules now in force deny, and no others.
 *
 * An entry that is merely deleted comes back: of a connection that it does not know, conntrack takes the next
 * segment for a new one (nf_conntrack_tcp_loose), and if the serving end sends that, all that the client sends
 * passes as its answer. So sockets go first, on the node and in its pods; while the entry is there, their peers
 * get the reset. Then the entries go. Where no socket could be closed, what comes back is deleted again for a
 * while, and counted as failed in the end. A UDP server that goes on sending is such a case, since to the kernel
 * that is a connection of its own, which the rules for egress allow.
 *
 * Nothing that fails outside of this program is thrown: it is in the notes.
 */
export async function cutDenied(cutting: Cutting): Promise<Cut> {
  let wanted = 0
  try {
    const { denied, unasked } = await listDenied(cutting)
    wanted = denied.length
    const limited =
      unasked === 0 ? [] : [`connections by ${unasked} routes were not judged: there are too many`]
    if (wanted === 0) return { cut: 0, failed: 0, notes: limited }
    const { failed, notes } = await cutAll(cutting, denied)
    return { cut: wanted - failed, failed, notes: [...limited, ...notes] }
  } catch (error) {
    if (!(error instanceof OutsideError)) throw error
    return { cut: 0, failed: wanted, notes: [`standing connections were not cut: ${messageOf(error)}`] }
  }
}

async function cutAll(
  { exec, family, node, findNamespaces = createFindNamespaces(exec), pause = setTimeout }: Cutting,
  denied: readonly Entry[],
): Promise<Omit<Cut, 'cut'>> {
  const ends = { exec, self: node.self, findNamespaces }
  const { closed, notes } = await closeEnds(ends, denied)
  await deleteEntries(exec, denied)
  const unsettled = denied.filter((entry) => !closed.has(entry) && canComeBack(entry))
  let standing: Entry[] = []
  for (const ms of pausesMs) {
    await pause(ms)
    standing = stillStanding(denied, await listEntries(exec, family))
    if (standing.length === 0 && unsettled.length === 0) break
    await closeEnds(ends, standing)
    await deleteEntries(exec, standing)
  }
  const quiet = unsettled.filter(({ state }) => state === 'ESTABLISHED').length
  return { failed: standing.length, notes: [...notes, ...describe(standing, quiet)] }
}

/** Entries that are still there, and those that take what the client sends for an answer to the other end. */
function stillStanding(denied: readonly Entry[], entries: Iterable<Entry>): Entry[] {
  const cut = new Map(denied.map((entry) => [keyOf(entry.protocol, entry.orig), entry]))
  const standing: Entry[] = []
  for (const entry of entries) {
    const itself = cut.get(keyOf(entry.protocol, entry.orig))
    const reversed = cut.get(keyOf(entry.protocol, entry.reply))
    if ((itself !== undefined && itself.id === entry.id) || reversed !== undefined) standing.push(entry)
  }
  return standing
}

/**
 * Whether what the serving end sends, without the NAT that went with the entry, still reaches the client from the
 * port it dialled. An answer to a ping never makes an entry.
 */
function canComeBack({ orig, reply, icmp }: Entry): boolean {
  return icmp === undefined && orig.dport === reply.sport
}

function describe(standing: readonly Entry[], unsettledTcp: number): string[] {
  const tcp = standing.filter(({ protocol }) => protocol === 6).length
  const others = standing.length - tcp
  const quiet = unsettledTcp - tcp
  return [
    ...(tcp > 0 ? [`${tcp} TCP connections go on: none of their sockets could be closed on this node`] : []),
    ...(others > 0
      ? [`${others} connections other than TCP go on: one end keeps sending, which other rules allow`]
      : []),
    ...(quiet > 0
      ? [`${quiet} TCP connections come back if their server sends first: their sockets could not be closed`]
      : []),
  ]
}
