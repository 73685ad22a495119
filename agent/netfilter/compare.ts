import { baseChain, chainName, jumpRule } from './chain.ts'
import type { Chain } from './chain.ts'
import { isSoundJump, readPosition } from './position.ts'
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
  /** A sentence for people. */
  readonly message: string
  /** Lines as in a diff: `- ` should be there, `+ ` should not. */
  readonly lines: readonly string[]
}

/** How a table differs from the chain it should hold; `undefined` means that nothing of ours should be there. */
export function compareTable(desired: Chain | undefined, table: SavedTable): Difference[] {
  return desired === undefined
    ? compareAbsent(table)
    : [...compareChain(desired, table), ...compareJump(table)]
}

function compareChain(desired: Chain, table: SavedTable): Difference[] {
  const chain = table.get(desired.name)
  if (chain === undefined) {
    return [{ kind: 'chain-missing', message: `chain ${desired.name} does not exist`, lines: [] }]
  }
  const actual = chain.rules.map(({ text }) => text)
  if (actual.length === desired.rules.length && actual.every((rule, index) => rule === desired.rules[index]))
    return []
  return [{ kind: 'chain-changed', ...describeChange(desired, actual) }]
}

function describeChange(desired: Chain, actual: readonly string[]): Pick<Difference, 'message' | 'lines'> {
  const missing = subtract(desired.rules, actual)
  const foreign = subtract(actual, desired.rules)
  const lines = [
    ...missing.map((rule) => `- -A ${desired.name} ${rule}`),
    ...foreign.map((rule) => `+ -A ${desired.name} ${rule}`),
  ]
  if (lines.length === 0) return { message: `the rules of chain ${desired.name} are in another order`, lines }
  if (actual.length === 0) return { message: `chain ${desired.name} is empty`, lines }
  const counts = [count(missing, 'missing'), count(foreign, 'foreign')].filter(Boolean).join(', ')
  return { message: `chain ${desired.name} differs: ${counts}`, lines }
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

function compareJump(table: SavedTable): Difference[] {
  const position = readPosition(table)
  const expected = `- -A ${baseChain} ${jumpRule}`
  const found = position.jumps.map((jump) => `+ -A ${baseChain} ${jump}`)
  if (position.jumps.length === 0) {
    return [
      { kind: 'jump-missing', message: `${baseChain} does not jump to ${chainName}`, lines: [expected] },
    ]
  }
  if (position.jumps.length > 1) {
    const message = `${baseChain} jumps to ${chainName} ${position.jumps.length} times`
    return [{ kind: 'jump-repeated', message, lines: found }]
  }
  if (!isSoundJump(position)) {
    const message = `the jump from ${baseChain} to ${chainName} is limited to some packets`
    return [{ kind: 'jump-changed', message, lines: [expected, ...found] }]
  }
  if (position.precededBy?.movable === true) {
    const message = `a rule that can accept or drop stands before the jump to ${chainName}`
    return [{ kind: 'jump-preceded', message, lines: [`+ -A ${baseChain} ${position.precededBy.rule}`] }]
  }
  return []
}

function compareAbsent(table: SavedTable): Difference[] {
  const { jumps } = readPosition(table)
  const unwanted: Difference[] = []
  if (table.has(chainName)) {
    unwanted.push({
      kind: 'chain-unwanted',
      message: `chain ${chainName} exists`,
      lines: [`+ :${chainName}`],
    })
  }
  if (jumps.length > 0) {
    const lines = jumps.map((jump) => `+ -A ${baseChain} ${jump}`)
    unwanted.push({ kind: 'jump-unwanted', message: `${baseChain} jumps to ${chainName}`, lines })
  }
  return unwanted
}
