import { connectionsOf, placeOf } from './connection.ts'
import type { Connection, Interfaces, NodeView } from './connection.ts'
import type { Entry } from './entry.ts'

export type IsDenied = (connection: Connection) => boolean

/** A route to look up; `from` is an address of the node, since rules for its routes may go by that. */
export type RouteQuery = { readonly to: string; readonly from?: string }

/** The interface of a route, `undefined` where it is not known. */
export type InterfaceOf = (query: RouteQuery) => string | undefined

const unknown: Interfaces = { in: undefined, out: undefined }

/** Entries that the rules would deny on some interface, which conntrack does not record. */
export function findSuspects(entries: Iterable<Entry>, isDenied: IsDenied, node: NodeView): Entry[] {
  const suspects: Entry[] = []
  for (const entry of entries) {
    if (possibleConnections(entry, node, unknown).some((possible) => possible.some(isDenied)))
      suspects.push(entry)
  }
  return suspects
}

/** Entries of suspects that the rules deny. Where an interface is not known, those denied on whichever it is. */
export function findDenied(
  suspects: readonly Entry[],
  isDenied: IsDenied,
  node: NodeView,
  interfaceOf: InterfaceOf,
): Entry[] {
  return suspects.filter((entry) => {
    const routes = routesOf(entry, node)
    const known = {
      in: routes.in === undefined ? undefined : interfaceOf(routes.in),
      out: routes.out === undefined ? undefined : interfaceOf(routes.out),
    }
    return possibleConnections(entry, node, known).every((possible) => possible.some(isDenied))
  })
}

/**
 * Routes that tell the interfaces of an entry: a packet came in where one back to its source would go out. There
 * is no telling for link-local addresses, which every interface has a route to.
 */
export function routesOf(entry: Entry, node: NodeView) {
  const { orig, reply } = entry
  const place = placeOf(entry, node)
  const back = toRoute(orig.src, node.self.has(reply.src) ? reply.src : undefined)
  const forth = toRoute(reply.src, node.self.has(orig.src) ? orig.src : undefined)
  return {
    in: place === 'loopback' || place === 'from the node' ? undefined : back,
    out: place === 'forwarded' || place === 'from the node' ? forth : undefined,
  }
}

function toRoute(to: string, from: string | undefined): RouteQuery | undefined {
  if (/^fe[89ab]/.test(to)) return undefined
  return { to, ...(from === undefined ? {} : { from }) }
}

/** What the entry is to the rules, for each way its unknown interfaces could be. */
function possibleConnections(entry: Entry, node: NodeView, known: Interfaces): Connection[][] {
  const any = [...node.external, ...node.named, undefined]
  const place = placeOf(entry, node)
  const ins = place === 'from the node' ? [undefined] : known.in === undefined ? any : [known.in]
  const outs = place === 'forwarded' || place === 'from the node' ? any : [undefined]
  return ins.flatMap((inside) =>
    (known.out === undefined ? outs : [known.out]).map((out) =>
      connectionsOf(entry, node, { in: inside, out }),
    ),
  )
}
