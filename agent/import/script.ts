import type { Family } from '../ruleset/address.ts'
import { readIptables } from './iptables-command.ts'
import { readSavedInto } from './iptables-save.ts'
import { expandWord, expandWords, testOf } from './shell-expand.ts'
import type { Variables } from './shell-expand.ts'
import { parseShell } from './shell-syntax.ts'
import type { Statement } from './shell-syntax.ts'
import { tokenizeShell } from './shell-tokens.ts'
import type { Source } from './source.ts'
import { remarkAbove } from './shell-remarks.ts'
import { createTables } from './table-builder.ts'

/** How a command ended, as far as that can be told without running it. */
type Status = boolean | 'unknown' | 'exit'

/** Commands that have nothing to do with what may pass. */
const harmless = new Set(
  (
    'echo printf sleep wait set shopt true false : logger date exit return break continue trap local export readonly ' +
    'declare typeset unset shift umask cd mkdir touch apk apt-get command which type hash [ [[ test id hostname ' +
    'iptables-save ip6tables-save modprobe depmod lsmod'
  ).split(' '),
)
const mostCommands = 20_000

/** Follows a shell script that calls iptables, as far as that is possible without running it. */
export function readScript(text: string): Source {
  const tables = createTables()
  const { tokens, comments } = tokenizeShell(text)
  const remark = remarkAbove(text.split('\n'), comments)
  const variables: Variables = new Map()
  const functions = new Map<string, readonly Statement[]>()
  let commands = 0
  try {
    runAll(parseShell(tokens))
  } catch (error) {
    // Functions that call each other without end, or brackets nested as deep.
    if (!(error instanceof RangeError)) throw error
    tables.note({ line: 0, kind: 'lost', message: `the rest of the script: ${error.message}` })
  }
  return tables.build()

  function lose({ line, lastLine }: Statement, message: string): void {
    const lines = lastLine > line ? ` (to line ${lastLine})` : ''
    tables.note({ line, kind: 'lost', message: `${message}${lines}` })
  }

  function runAll(statements: readonly Statement[]): Status {
    let status: Status = true
    for (const statement of statements) {
      status = run(statement)
      if (status === 'exit') return status
    }
    return status
  }

  function run(statement: Statement): Status {
    switch (statement.kind) {
      case 'command':
        return runCommand(statement)
      case 'not': {
        const status = run(statement.inner)
        return typeof status === 'boolean' ? !status : status
      }
      case 'sequence': {
        const status = run(statement.first)
        if (status === 'exit') return status
        if (status === 'unknown')
          return skip(statement.second, 'whether it runs depends on the command before it')
        return status === (statement.operator === '&&') ? run(statement.second) : status
      }
      case 'group':
        return runAll(statement.body)
      case 'pipe':
        return skip(statement, 'pipes are not followed')
      case 'function':
        functions.set(statement.name, statement.body)
        return true
      case 'for':
        return runFor(statement)
      case 'while':
        return runWhile(statement)
      case 'if':
        return runIf(statement)
      case 'unread':
        lose(statement, `${statement.what} is not followed`)
        return 'unknown'
    }
  }

  /** Leaves out what may not have run at all; worth a note when a packet filter is called in it. */
  function skip(statement: Statement, why: string): Status {
    if (touchesFilter(statement)) lose(statement, why)
    return 'unknown'
  }

  function runFor(statement: Statement & { kind: 'for' }): Status {
    const items = expandWords(statement.words, variables)
    if (typeof items === 'string') return skip(statement, `a loop over ${items}, which is not in this file`)
    let status: Status = true
    for (const item of items) {
      variables.set(statement.variable, item)
      status = runAll(statement.body)
      if (status === 'exit') return status
    }
    return status
  }

  function runWhile(statement: Statement & { kind: 'while' }): Status {
    const status = runAll(statement.condition)
    if (status === 'unknown') return skip(statement, 'a loop whose condition only a running shell knows')
    if (status === statement.until) return true
    const message = 'a loop that repeats what it does: the agent keeps its rules in force by itself'
    tables.note({ line: statement.line, kind: 'covered', message })
    return runAll(statement.body)
  }

  function runIf(statement: Statement & { kind: 'if' }): Status {
    for (const { condition, body } of statement.branches) {
      const status = runAll(condition)
      if (status === 'exit') return status
      if (status === 'unknown')
        return skip(statement, 'an "if" whose condition only a running shell knows: all of it is left out')
      if (status) return runAll(body)
    }
    return runAll(statement.otherwise)
  }

  function runCommand(statement: Statement & { kind: 'command' }): Status {
    commands += 1
    if (commands > mostCommands) throw new RangeError(`more than ${mostCommands} commands`)
    for (const { name, value } of statement.assignments) {
      const expanded = value.map((word) => expandWord(word, variables))
      const missing = expanded.find((one) => 'missing' in one)
      if (missing !== undefined) variables.delete(name)
      else variables.set(name, expanded.map((one) => ('text' in one ? one.text : '')).join(' '))
    }
    if (statement.words.length === 0) return true
    const words = expandWords(statement.words, variables)
    if (typeof words === 'string') {
      return skip(statement, `"${rawOf(statement)}" uses ${words}, which is not in this file`)
    }
    return dispatch(withoutPrefix(words), statement)
  }

  function dispatch(
    [program = '', ...args]: readonly string[],
    statement: Statement & { kind: 'command' },
  ): Status {
    const name = program.replace(/^.*\//, '')
    const [, six, restore] = /^(ip6?tables)(?:-nft|-legacy)?(-restore)?$/.exec(name) ?? []
    const family: Family = six === 'ip6tables' ? 'ipv6' : 'ipv4'
    const { line, hereDocument } = statement
    const body = functions.get(program)
    if (six !== undefined && restore !== undefined) {
      if (hereDocument === undefined)
        return skip(statement, `"${rawOf(statement)}": what it restores is not in this file`)
      readSavedInto(tables, hereDocument.text, { firstLine: hereDocument.firstLine, family })
      return true
    }
    if (six !== undefined) {
      const above = remark(line)
      const text = [name, ...args].join(' ')
      const command = readIptables(args, family, {
        line,
        text,
        ...(above === undefined ? {} : { remark: above }),
      })
      return tables.run(family, command, line)
    }
    if (body !== undefined) return callFunction(body, args)
    if (name === 'exit') return 'exit'
    if (/^(local|export|readonly|declare|typeset)$/.test(name)) assign(args)
    if (name === '[' || name === '[[' || name === 'test') return testOf(args) ?? 'unknown'
    if (name === 'false') return false
    if (name === 'shift') return 'unknown'
    const writes = statement.redirections.some(
      (one) => /^(1|&)?>/.test(one) && !/\/dev\/(null|std)|>&/.test(one),
    )
    if (!harmless.has(name) || writes) lose(statement, `"${rawOf(statement)}" is no call of iptables`)
    return /^(true|:|echo|printf|set|sleep|export|local|readonly)$/.test(name) ? true : 'unknown'
  }

  /** `local NAME=VALUE` and the like. */
  function assign(args: readonly string[]): void {
    for (const arg of args) {
      const [, key, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(arg) ?? []
      if (key !== undefined && value !== undefined) variables.set(key, value)
    }
  }

  function callFunction(body: readonly Statement[], args: readonly string[]): Status {
    const before = '@*#123456789'.split('').map((name) => [name, variables.get(name)] as const)
    for (const [name] of before) variables.delete(name)
    for (const [index, value] of args.entries()) variables.set(String(index + 1), value)
    variables.set('@', args.join(' ')).set('*', args.join(' ')).set('#', String(args.length))
    const status = runAll(body)
    for (const [name, value] of before) {
      if (value === undefined) variables.delete(name)
      else variables.set(name, value)
    }
    return status
  }

  /** Whether a statement, or one within it, calls a packet filter or a function that may. */
  function touchesFilter(statement: Statement): boolean {
    switch (statement.kind) {
      case 'command': {
        const words = statement.words.slice(0, 4).map((word) => expandWord(word, variables))
        const shown = words.map((one) => ('text' in one ? one.text : one.missing)).join(' ')
        return /ip6?tables|nft|ipset|^\$/.test(shown) || functions.has(shown.split(' ')[0] ?? '')
      }
      case 'not':
        return touchesFilter(statement.inner)
      case 'sequence':
        return touchesFilter(statement.first) || touchesFilter(statement.second)
      case 'pipe':
        return statement.parts.some(touchesFilter)
      case 'group':
      case 'function':
      case 'for':
      case 'while':
        return statement.body.some(touchesFilter)
      case 'if':
        return [...statement.branches.flatMap(({ body }) => body), ...statement.otherwise].some(touchesFilter)
      case 'unread':
        return true
    }
  }
}

/** The command behind what only says where or as whom it runs. */
function withoutPrefix(words: readonly string[]): readonly string[] {
  const [program = '', ...rest] = words
  const name = program.replace(/^.*\//, '')
  if (name === 'sudo' || name === 'exec' || name === 'command' || name === 'nsenter' || name === 'chroot') {
    const at = rest.findIndex((word) => /(^|\/)ip6?tables/.test(word))
    if (at >= 0) return rest.slice(at)
  }
  return words
}

function rawOf({ words }: Statement & { kind: 'command' }): string {
  return words.map(({ raw }) => raw).join(' ')
}
