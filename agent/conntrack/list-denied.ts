import { setImmediate } from 'node:timers/promises'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import type { NodeView } from './connection.ts'
import type { Entry } from './entry.ts'
import { findDenied, findSuspects, routesOf } from './find-denied.ts'
import type { IsDenied } from './find-denied.ts'
import { lookUpInterfaces } from './look-up-interfaces.ts'
import { parseEntries } from './parse-entries.ts'

/** What to look for, and where. */
export type Search = {
  /** Runs programs in the network namespace of the node. */
  readonly exec: Exec
  readonly family: Family
  readonly isDenied: IsDenied
  readonly node: NodeView
  /** The most routes to look up, 11 us each. */
  readonly maxRoutes?: number
}

/**
 * Lists the tracked connections that the rules deny.
 *
 * @returns how many interfaces were not asked for too, because there were more than `maxRoutes`
 * @throws {OutsideError} when conntrack(8) or ip(8) fails
 */
export async function listDenied({ exec, family, isDenied, node, maxRoutes = 20_000 }: Search) {
  const suspects: Entry[] = []
  for (const part of inParts(await listEntries(exec, family))) {
    suspects.push(...findSuspects(part, isDenied, node))
    // There may be very many, and drift has to be healed meanwhile.
    await setImmediate()
  }
  const routes = suspects
    .flatMap((entry) => Object.values(routesOf(entry, node)))
    .filter((route) => route !== undefined)
  const { interfaceOf, unasked } = await lookUpInterfaces(exec, family, routes, maxRoutes)
  return { denied: findDenied(suspects, isDenied, node, interfaceOf), unasked }
}

function* inParts(entries: Iterable<Entry>): Generator<readonly Entry[]> {
  let part: Entry[] = []
  for (const entry of entries) {
    part.push(entry)
    if (part.length < 500) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}

/**
 * Reads the table of a family: 100,000 entries take about half a second and 18 MB of text.
 *
 * @throws {OutsideError} when conntrack(8) fails
 */
export async function listEntries(exec: Exec, family: Family): Promise<Iterable<Entry>> {
  const { stdout } = await exec('conntrack', ['-L', '-f', family, '-o', 'extended,id'])
  return parseEntries(stdout)
}
