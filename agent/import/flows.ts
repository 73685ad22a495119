import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { isForeign } from './foreign-chains.ts'
import { flattenChain } from './flatten.ts'
import type { BaseChain, FlatRule } from './flat-rule.ts'
import type { Note } from './note.ts'
import { settleSteps } from './settle.ts'
import type { Source, SourceTable } from './source.ts'

/** What comes in, or what goes out: rules of each family, the first that matches decides. */
export type Flow = {
  readonly rules: Readonly<Record<Family, readonly FlatRule[]>>
  /** Interfaces on which all that no rule accepts is denied, where the source limits that to some. */
  readonly closedOn?: readonly string[]
}

/** Reads the base chains of both families into the flows that the ruleset language knows. */
export function readFlows(source: Source): { ingress: Flow; egress: Flow; notes: Note[] } {
  const notes: Note[] = []
  const read = (base: BaseChain) => {
    const rules = { ipv4: [] as FlatRule[], ipv6: [] as FlatRule[] }
    for (const [family, table] of source.tables) {
      const flat = flattenChain(table, base, family)
      const settled = settleSteps(flat.steps)
      for (const name of flat.visited) visited.add(`${family} ${name}`)
      notes.push(...flat.notes, ...settled.notes)
      rules[family] = settled.rules
    }
    return rules
  }
  const visited = new Set<string>()
  const [input, forward, output] = [read('INPUT'), read('FORWARD'), read('OUTPUT')]
  for (const [family, table] of source.tables) notes.push(...noteUnused(table, family, visited))

  const redirected = mapFamilies((family) => forward[family].filter(({ policy }) => !policy))
  const ingress = mapFamilies((family) => [...redirected[family], ...withoutOpenEnd(input[family])])
  const flows = {
    ingress: { rules: ingress, ...closedOn(ingress) },
    egress: { rules: mapFamilies((family) => withoutOpenEnd(output[family])) },
  }
  notes.push(
    ...notePolicies(forward),
    ...(source.externalOnly === true ? [] : noteScope(input)),
    ...noteFamilies(source, ingress),
  )
  if (source.beforeDnat !== true && families.every((family) => redirected[family].length === 0))
    notes.push(...noteNodePorts(ingress))
  return { ...flows, notes }
}

function mapFamilies<T>(make: (family: Family) => T): Record<Family, T> {
  return { ipv4: make('ipv4'), ipv6: make('ipv6') }
}

/** Without what accepts everything at the end, as the language does anyway. */
function withoutOpenEnd(rules: readonly FlatRule[]): readonly FlatRule[] {
  const last = rules.at(-1)
  const open = last?.action === 'accept' && last.policy && Object.keys(last.match).length === 0
  return open ? rules.slice(0, -1) : rules
}

function isCatchAll({ action, match, limits }: FlatRule): boolean {
  const asks = Object.keys(match).filter((key) => key !== 'input')
  return action !== 'accept' && asks.length === 0 && Object.keys(limits).length === 0
}

function closedOn(rules: Flow['rules']): { closedOn?: readonly string[] } {
  const ends = families.flatMap((family) => rules[family].slice(-1)).filter(isCatchAll)
  const interfaces = ends[0]?.match.input
  const agree = ends.every(({ match }) => match.input?.join() === interfaces?.join())
  return interfaces === undefined || !agree ? {} : { closedOn: interfaces }
}

function noteUnused(table: SourceTable, family: Family, visited: ReadonlySet<string>): Note[] {
  const unused = [...table].filter(
    ([name, { policy, rules }]) =>
      policy === undefined && rules.length > 0 && !visited.has(`${family} ${name}`) && !isForeign(name),
  )
  return unused.map(([name, { line, rules }]) => {
    const message = `chain ${name} (${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}) is never reached from INPUT, FORWARD or OUTPUT`
    return { line: rules[0]?.line ?? line, kind: 'covered', message }
  })
}

function notePolicies(forward: Flow['rules']): Note[] {
  const denying = families.flatMap((family) =>
    forward[family].filter(({ policy, action }) => policy && action === 'drop'),
  )
  const message =
    'the policy DROP of FORWARD: routed traffic is left alone; see podIngress and podEgress under defaults'
  return denying.map(({ line }) => ({ line, kind: 'lost', message }))
}

/** Others than the external interfaces are those of pods, which a rule without an interface meant too. */
function noteScope(input: Flow['rules']): Note[] {
  const first = families
    .flatMap((family) => input[family])
    .find(({ action, match }) => action !== 'accept' && match.input === undefined)
  if (first === undefined) return []
  const message = `"${first.text}" denies on every interface; here rules without interfaces act on the external ones only, so pods and other inner interfaces are not denied`
  return [{ line: first.line, kind: 'changed', message }]
}

function noteNodePorts(ingress: Flow['rules']): Note[] {
  const closing = families.flatMap((family) => ingress[family].slice(-1)).find(isCatchAll)
  if (closing === undefined) return []
  const message = `"${closing.text}" denies what is left of INPUT, which NodePorts and hostPorts never pass; here they are closed too unless a rule accepts them`
  return [{ line: closing.line, kind: 'changed', message }]
}

function noteFamilies(source: Source, ingress: Flow['rules']): Note[] {
  const [only, ...others] = [...source.tables.keys()]
  if (only === undefined || others.length > 0 || ingress[only].length === 0) return []
  const [said, other] = only === 'ipv4' ? ['IPv4', 'IPv6'] : ['IPv6', 'IPv4']
  const message = `there are rules of ${said} only: they are pinned to it, and ${other} stays open`
  return [{ line: 0, kind: 'advice', message }]
}
