import { expandWord } from './shell-expand.ts'
import type { Variables } from './shell-expand.ts'
import type { Statement, Word } from './shell-syntax.ts'

export type Leaving = 'exit' | 'return' | 'break' | 'continue'
type Known = { readonly variables: Variables; readonly functions: ReadonlyMap<string, unknown> }

/**
 * Whether it matters that a statement is left out: it, or one within it, calls a packet filter or a function that may,
 * or keeps what stands behind it from running.
 */
export function touchesFilter(statement: Statement, known: Known): boolean {
  const touches = (one: Statement) => touchesFilter(one, known)
  switch (statement.kind) {
    case 'command': {
      const words = statement.words.slice(0, 4).map((word) => expandWord(word, known.variables))
      const shown = words.map((one) => ('text' in one ? one.text : one.missing)).join(' ')
      const [name = '', argument] = shown.split(' ')
      return (
        /ip6?tables|nft|ipset|^\$/.test(shown) ||
        known.functions.has(name) ||
        leavesAllTheSame(name, argument)
      )
    }
    case 'not':
    case 'background':
      return touches(statement.inner)
    case 'sequence':
      return touches(statement.first) || touches(statement.second)
    case 'pipe':
      return statement.parts.some(touches)
    case 'group':
    case 'function':
    case 'for':
    case 'while':
      return statement.body.some(touches)
    case 'if':
      return [...statement.branches.flatMap(({ body }) => body), ...statement.otherwise].some(touches)
    case 'unread':
      return true
  }
}

/** A call of iptables that does more than look, in the text of a command. */
export const changesFilter =
  /(ip6?tables\S*|\$\{?\w+\}?)\s[^|;&]*-(-append|-insert|-delete|-replace|-policy|-flush|[AIDRPFX])\b|ip6?tables\S*-restore/

export function isLeaving(name: string): name is Leaving {
  return /^(exit|return|break|continue)$/.test(name)
}

/** Whether what stands behind it does not run, in a script that has met no error. */
function leavesAllTheSame(name: string, argument: string | undefined): boolean {
  return isLeaving(name) && (/^(break|continue)$/.test(name) || (argument ?? '0') === '0')
}

/** Whether a word holds the output of a command. */
export function hasSubstitution({ parts }: Word): boolean {
  return parts.some((part) => part.kind === 'missing' && /^(`|\$\((?!\())/.test(part.text))
}
