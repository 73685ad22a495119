import type { Family } from '../ruleset/address.ts'
import { isForeign, noteForeign } from './foreign-chains.ts'
import type { IptablesCommand } from './iptables-command.ts'
import type { Note } from './note.ts'
import type { Source, SourceChain, SourceRule } from './source.ts'

type KeyedRule = SourceRule & { readonly key: string }
type Chain = { line: number; policy?: 'accept' | 'drop'; rules: KeyedRule[] }

const baseChains = ['INPUT', 'FORWARD', 'OUTPUT']

/** Keeps the filter tables while commands change them, as the kernel would from an empty start. */
export type TableBuilder = {
  /** Carries out a command; answers whether iptables would have succeeded. */
  run(family: Family, command: IptablesCommand, line: number): boolean
  note(note: Note): void
  build(): Source
}

export function createTables(): TableBuilder {
  const tables = new Map<Family, Map<string, Chain>>()
  const notes: Note[] = []
  const mentions: { line: number; chain: string }[] = []

  const open = (family: Family) => {
    const known =
      tables.get(family) ?? new Map(baseChains.map((name) => [name, newChain(0, 'accept')] as const))
    tables.set(family, known)
    return known
  }

  return {
    run(family, command, line) {
      const { table, verb, chain, rule } = command
      const { target } = rule
      const foreign = [chain, 'chain' in target ? target.chain : ''].filter(isForeign)
      mentions.push(...foreign.map((name) => ({ line, chain: name })))
      if (isForeign(chain)) return true
      if (table !== 'filter') {
        const adds = /^[AIR]$/.test(verb) && foreign.length === 0
        if (adds || (verb === 'P' && command.argument !== 'ACCEPT')) {
          notes.push({
            line,
            kind: 'lost',
            message: `table ${table}: "${rule.text}" is not about what may pass`,
          })
        }
        return true
      }
      const changed = change(open(family), command, line)
      if (typeof changed === 'boolean') return changed
      notes.push({ line, kind: 'lost', message: `"${rule.text}": ${changed}` })
      return false
    },
    note: (note) => void notes.push(note),
    build() {
      const built = [...tables].map(
        ([family, chains]) => [family, new Map<string, SourceChain>(chains)] as const,
      )
      return { tables: new Map(built), notes: [...notes, ...noteForeign(mentions)] }
    },
  }
}

function newChain(line: number, policy?: 'accept' | 'drop'): Chain {
  return policy === undefined ? { line, rules: [] } : { line, policy, rules: [] }
}

/** Whether the command succeeds, or why it cannot be followed. */
function change(chains: Map<string, Chain>, command: IptablesCommand, line: number): boolean | string {
  const { verb, chain: name, argument, key } = command
  const chain = chains.get(name)
  const rule: KeyedRule = { ...command.rule, key }
  const position = /^\d+$/.test(argument ?? '') ? Number(argument) - 1 : undefined
  const same = chain?.rules.findIndex((one) => one.key === key) ?? -1
  switch (verb) {
    case 'A':
      return ensure(chains, name, line).rules.push(rule) > 0
    case 'I':
      ensure(chains, name, line).rules.splice(position ?? 0, 0, rule)
      return true
    case 'R':
      return position !== undefined && chain?.rules.splice(position, 1, rule).length === 1
    case 'D':
      return (
        (chain?.rules.splice(position ?? (same < 0 ? Number.MAX_SAFE_INTEGER : same), 1).length ?? 0) === 1
      )
    case 'C':
      return same >= 0
    case 'N':
      if (chain !== undefined) return false
      chains.set(name, newChain(line))
      return true
    case 'F':
      for (const one of name === '' ? chains.values() : [chain]) if (one !== undefined) one.rules = []
      return name === '' || chain !== undefined
    case 'X':
      for (const one of name === '' ? chains.keys() : [name])
        if (!baseChains.includes(one)) chains.delete(one)
      return name === '' || chain !== undefined
    case 'P':
      if (chain === undefined || !/^(ACCEPT|DROP)$/.test(argument ?? '')) return 'a policy of no base chain'
      chain.policy = argument === 'DROP' ? 'drop' : 'accept'
      chain.line = line
      return true
    case 'L':
    case 'S':
    case 'Z':
      return name === '' || chain !== undefined
    default:
      return verb === '' ? 'it names no command' : `-${verb} is not followed`
  }
}

/** A rule of a chain that nobody made: another script may have. */
function ensure(chains: Map<string, Chain>, name: string, line: number): Chain {
  const chain = chains.get(name) ?? newChain(line)
  chains.set(name, chain)
  return chain
}
