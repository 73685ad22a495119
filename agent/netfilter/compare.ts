import { baseChains, isOurChain, jumpRule } from './chain.ts'
import type { BaseChain, Chain, Desired } from './chain.ts'
import { markOf, readMade } from './made.ts'
import type { Made } from './made.ts'
import { isSoundJump, readPosition } from './position.ts'
import type { Position } from './position.ts'
import type { SavedTable } from './saved-table.ts'

/** One way in which the kernel differs from what should be there. */
export type Difference = {
  readonly kind:
    | 'chain-missing'
    | 'chain-changed'
    | 'chain-unwanted'
    | 'jump-missing'
    | 'jump-repeated'
    | 'jump-changed'
    | 'jump-preceded'
    | 'jump-unwanted'
    | 'set-missing'
    | 'set-changed'
    | 'set-unwanted'
    | 'made-unwanted'
  /** The chain or set it is about; of a jump the base chain it stands in. */
  readonly where: string
  /** A sentence for people. */
  readonly message: string
  /** Lines as in a diff: `- ` should be there, `+ ` should not. */
  readonly lines: readonly string[]
}

const nothing: Desired = { chains: [], jumps: {}, sets: [] }

/** How a table differs from the chains and jumps it should hold; `undefined`: nothing of ours should be there. */
export function compareTable(desired: Desired | undefined, table: SavedTable): Difference[] {
  const { chains, jumps } = desired ?? nothing
  const wanted = new Set(chains.map(({ name }) => name))
  const unwanted = [...table.keys()].filter((name) => isOurChain(name) && !wanted.has(name))
  return [
    ...chains.flatMap((chain) => compareChain(chain, table)),
    ...unwanted.map((name) => ({
      kind: 'chain-unwanted' as const,
      where: name,
      message: `chain ${name} exists`,
      lines: [`+ :${name}`],
    })),
    ...baseChains.flatMap((base) => compareJump(base, jumps[base], readPosition(table, base))),
    ...(desired === undefined ? readMade(table).map(describeMade) : []),
  ]
}

/** It goes after the last of our rules, and stays when the agent is killed between the two. */
function describeMade(made: Made): Difference {
  const message = `${made === 'table' ? 'the table' : made} was made for rules that are gone`
  return { kind: 'made-unwanted', where: made, message, lines: [`+ :${markOf(made)}`] }
}

function compareChain({ name, rules }: Chain, table: SavedTable): Difference[] {
  const chain = table.get(name)
  if (chain === undefined) {
    return [{ kind: 'chain-missing', where: name, message: `chain ${name} does not exist`, lines: [] }]
  }
  const actual = chain.rules.map(({ text }) => text)
  if (actual.length === rules.length && actual.every((rule, index) => rule === rules[index])) return []
  return [{ kind: 'chain-changed', where: name, ...describeChange(name, rules, actual) }]
}

function describeChange(
  name: string,
  desired: readonly string[],
  actual: readonly string[],
): Pick<Difference, 'message' | 'lines'> {
  const missing = subtract(desired, actual)
  const foreign = subtract(actual, desired)
  const lines = [
    ...missing.map((rule) => `- -A ${name} ${rule}`),
    ...foreign.map((rule) => `+ -A ${name} ${rule}`),
  ]
  if (lines.length === 0) return { message: `the rules of chain ${name} are in another order`, lines }
  if (actual.length === 0) return { message: `chain ${name} is empty`, lines }
  const counts = [count(missing, 'missing'), count(foreign, 'foreign')].filter(Boolean).join(', ')
  return { message: `chain ${name} differs: ${counts}`, lines }
}

function count(rules: readonly string[], adjective: string): string {
  return rules.length === 0 ? '' : `${rules.length} ${adjective} ${rules.length === 1 ? 'rule' : 'rules'}`
}

/** The members of `from` that are not in `what`, each counted as often as it occurs. */
function subtract(from: readonly string[], what: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const rule of what) left.set(rule, (left.get(rule) ?? 0) + 1)
  return from.filter((rule) => {
    const available = left.get(rule) ?? 0
    left.set(rule, available - 1)
    return available <= 0
  })
}

function compareJump(base: BaseChain, chain: string | undefined, position: Position): Difference[] {
  const found = position.jumps.map((jump) => `+ -A ${base} ${jump}`)
  const differ = (kind: Difference['kind'], message: string, lines: readonly string[]): Difference[] => [
    { kind, where: base, message, lines },
  ]
  if (chain === undefined) {
    if (position.jumps.length === 0) return []
    return differ('jump-unwanted', `${base} jumps to a chain of node-firewall`, found)
  }
  const expected = `- -A ${base} ${jumpRule(chain)}`
  if (position.jumps.length === 0) {
    return differ('jump-missing', `${base} does not jump to ${chain}`, [expected])
  }
  if (position.jumps.length > 1) {
    return differ('jump-repeated', `${base} jumps to ${chain} ${position.jumps.length} times`, found)
  }
  if (!isSoundJump(position, chain)) {
    return differ('jump-changed', `the jump from ${base} to ${chain} is limited to some packets`, [
      expected,
      ...found,
    ])
  }
  if (position.precededBy?.movable === true) {
    const message = `a rule that can accept or drop stands before the jump from ${base} to ${chain}`
    return differ('jump-preceded', message, [`+ -A ${base} ${position.precededBy.rule}`])
  }
  return []
}
