import * as z from 'zod'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import type { InterfaceOf, RouteQuery } from './find-denied.ts'
import { printedBy } from './printed.ts'

/**
 * Asks the kernel for the interfaces of routes, all in one process (11 us each). Those beyond the limit, and those
 * that lead nowhere, stay unknown.
 */
export async function lookUpInterfaces(
  exec: Exec,
  family: Family,
  queries: Iterable<RouteQuery>,
  limit: number,
): Promise<{ readonly interfaceOf: InterfaceOf; readonly unasked: number }> {
  const wanted = new Map([...queries].map((query) => [toArguments(query), query]))
  const asked = [...wanted.keys()].slice(0, limit)
  const input = asked.map((query) => `route get ${query}\n`).join('')
  const args = [family === 'ipv4' ? '-4' : '-6', '-json', '-force', '-batch', '-']
  const answer = asked.length === 0 ? '' : await printedBy(exec, 'ip', args, input)
  const devices = new Map(answer.split('\n').flatMap(readAnswer))
  return {
    interfaceOf: (query) => devices.get(toArguments(query)),
    unasked: wanted.size - asked.length,
  }
}

const routes = z.array(z.object({ dst: z.string(), from: z.string().optional(), dev: z.string() }))

/** Each answer is a list of one route, on a line of its own. */
function readAnswer(line: string): [string, string][] {
  const found = line.startsWith('[{') ? routes.safeParse(parseJson(line)).data?.[0] : undefined
  if (found === undefined) return []
  const { dst, from, dev } = found
  // IPv6 routes always say where from, `::` where that was not asked.
  return [[toArguments({ to: dst, ...(from === undefined || from === '::' ? {} : { from }) }), dev]]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function toArguments({ to, from }: RouteQuery): string {
  return from === undefined ? to : `${to} from ${from}`
}
