import { formatCidr } from '../ruleset/address.ts'
import type { ServerEndpoint } from './policy.ts'

/** `seenAt`: when the kubelet or the agent was last seen to go there, in ms since the epoch. */
export type KnownServer = ServerEndpoint & { readonly seenAt: number }

/** A load balancer moves seldom, and back: who is not seen for so long, in ms, is forgotten. */
export const keepMs = 3 * 24 * 3_600_000

/** More addresses than load balancers have. */
export const mostServers = 32

/** Whom a new address may take the place of when there are too many: who was not seen for so long, in ms. */
const replaceableMs = 3_600_000

/**
 * Who is known now: those seen now, and those seen lately. A name that leads to others each time it is looked up makes
 * no rule come and go: who was seen within the hour stays, and it is the newcomer that finds no place.
 *
 * @returns sorted by address and port, so that it changes only with what it says
 */
export function rememberServers(
  known: readonly KnownServer[],
  seen: readonly ServerEndpoint[],
  now: number,
): readonly KnownServer[] {
  const before = new Map(known.map((server) => [keyOf(server), server]))
  const news = new Map(
    seen.toSorted(kubeletLast).map((server) => [keyOf(server), { ...server, seenAt: now }]),
  )
  const stays = [...before].flatMap(([key, server]) => {
    const again = news.get(key)
    // The clock of the machine can be set back.
    const seenAt = again === undefined ? Math.min(server.seenAt, now) : now
    const of = server.of === 'kubelet' ? server.of : (again?.of ?? server.of)
    return now - seenAt > keepMs ? [] : [{ ...server, of, seenAt }]
  })
  const newcomers = [...news].flatMap(([key, server]) => (before.has(key) ? [] : [server]))
  const isLate = ({ seenAt }: KnownServer) => now - seenAt > replaceableMs
  const late = stays.filter(isLate).toSorted((a, b) => b.seenAt - a.seenAt)
  const chosen = [...stays.filter((server) => !isLate(server)), ...newcomers, ...late].slice(0, mostServers)
  return chosen.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** Where both go, it is the kubelet that the node lives by: of two in a map the last one counts. */
function kubeletLast(a: ServerEndpoint, b: ServerEndpoint): number {
  return Number(a.of === 'kubelet') - Number(b.of === 'kubelet')
}

function keyOf({ address, port }: ServerEndpoint): string {
  return `${formatCidr(address)} ${port}`
}
