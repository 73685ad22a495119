import { expandWord } from './shell-expand.ts'
import type { Variables } from './shell-expand.ts'
import type { Word } from './shell-syntax.ts'

/** What a shell remembers while it runs a script: variables, and the arguments of the function that it is in. */
export type Memory = {
  readonly variables: Variables
  /** Sets a variable, or forgets it where the value is not in the script. */
  assign(name: string, value: readonly Word[]): void
  /** `local`: the end of the function gives the variable back the value that it has now. */
  keep(name: string): void
  setArguments(values: readonly string[]): void
  /** Answers whether there were as many; `unknown` for the arguments of the script itself. */
  shift(count: number): boolean | 'unknown'
  /** Runs a function with arguments of its own. */
  inFunction<T>(values: readonly string[], run: () => T): T
  /** Runs something that has no effect on variables behind it, as a subshell. */
  inSubshell<T>(run: () => T): T
  /** Variables that stand before a command hold for that command alone. */
  withAssignments<T>(assignments: readonly Assignment[], run: () => T): T
}
export type Assignment = { readonly name: string; readonly value: readonly Word[] }

export function createMemory(): Memory {
  const variables: Variables = new Map()
  let own: readonly string[] | undefined
  let kept = new Map<string, string | undefined>()

  const restore = (values: Iterable<readonly [string, string | undefined]>) => {
    for (const [name, value] of values) {
      if (value === undefined) variables.delete(name)
      else variables.set(name, value)
    }
  }
  const setOwn = (values: readonly string[] | undefined) => {
    own = values
    for (const name of '@*#123456789') variables.delete(name)
    if (values === undefined) return
    for (const [index, value] of values.slice(0, 9).entries()) variables.set(String(index + 1), value)
    variables.set('@', values.join(' ')).set('*', values.join(' ')).set('#', String(values.length))
  }
  const assign = (name: string, value: readonly Word[]) => {
    const expanded = value.map((word) => expandWord(word, variables))
    if (expanded.some((one) => 'missing' in one)) variables.delete(name)
    else variables.set(name, expanded.map((one) => ('text' in one ? one.text : '')).join(' '))
  }

  return {
    variables,
    assign,
    keep: (name) => void (kept.has(name) || kept.set(name, variables.get(name))),
    setArguments: setOwn,
    shift(count) {
      if (own === undefined) return 'unknown'
      if (count > own.length) return false
      setOwn(own.slice(count))
      return true
    },
    inFunction(values, run) {
      const outer = { own, kept }
      kept = new Map()
      setOwn(values)
      try {
        return run()
      } finally {
        restore(kept)
        kept = outer.kept
        setOwn(outer.own)
      }
    },
    inSubshell(run) {
      const before = { own, variables: [...variables] }
      try {
        return run()
      } finally {
        variables.clear()
        restore(before.variables)
        own = before.own
      }
    },
    withAssignments(assignments, run) {
      const before = assignments.map(({ name }) => [name, variables.get(name)] as const)
      for (const { name, value } of assignments) assign(name, value)
      try {
        return run()
      } finally {
        restore(before.toReversed())
      }
    },
  }
}
