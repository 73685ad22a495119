import type { Family } from '../ruleset/address.ts'
import { readIptables } from './iptables-command.ts'
import { readSavedInto } from './iptables-save.ts'
import { expandWords, testOf } from './shell-expand.ts'
import { createMemory } from './shell-memory.ts'
import { parseShell, readAssignment } from './shell-syntax.ts'
import type { Statement, Word } from './shell-syntax.ts'
import { tokenizeShell } from './shell-tokens.ts'
import { changesFilter, hasSubstitution, isLeaving, touchesFilter } from './script-effects.ts'
import type { Leaving } from './script-effects.ts'
import type { Source } from './source.ts'
import { remarkAbove } from './shell-remarks.ts'
import { createTables } from './table-builder.ts'

/** How a command ended, as far as that can be told without running it. */
type Ended = boolean | 'unknown'
/** What it leaves, so that the commands behind it do not run. */
type Leave = { readonly leaves: Leaving; readonly ended: Ended }
type Status = Ended | Leave

/** Commands that have nothing to do with what may pass. */
const harmless = new Set(
  (
    'echo printf sleep wait set shopt true false : logger date trap local export readonly ' +
    'declare typeset unset umask cd mkdir touch apk apt-get command which type hash [ [[ test id hostname ' +
    'iptables-save ip6tables-save modprobe depmod lsmod'
  ).split(' '),
)
const declarations = new Set(['local', 'export', 'readonly', 'declare', 'typeset'])
const mostCommands = 20_000

/** Follows a shell script that calls iptables, as far as that is possible without running it. */
export function readScript(text: string): Source {
  const tables = createTables()
  const { tokens, comments } = tokenizeShell(text)
  const remark = remarkAbove(text.split('\n'), comments)
  const memory = createMemory()
  const { variables } = memory
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
      if (typeof status === 'object') return status
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
        if (typeof status === 'object') return status
        if (status === 'unknown')
          return skip(statement.second, 'whether it runs depends on the command before it')
        return status === (statement.operator === '&&') ? run(statement.second) : status
      }
      case 'group':
        return statement.subshell ? runSubshell(statement.body) : runAll(statement.body)
      case 'background':
        return runBeside(statement.inner)
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
    if (touchesFilter(statement, { variables, functions })) lose(statement, why)
    return 'unknown'
  }

  function runFor(statement: Statement & { kind: 'for' }): Status {
    const items = expandWords(statement.words, variables)
    if (typeof items === 'string') return skip(statement, `a loop over ${items}, which is not in this file`)
    let status: Status = true
    for (const item of items) {
      variables.set(statement.variable, item)
      status = runAll(statement.body)
      if (typeof status !== 'object') continue
      if (status.leaves === 'break') return true
      if (status.leaves !== 'continue') return status
      status = true
    }
    return status
  }

  /** One program is done soon; what sleeps first, or goes on for long, has its effect at another time. */
  function runBeside(inner: Statement): Status {
    const [program] = inner.kind === 'command' ? inner.words : []
    if (program === undefined || functions.has(program.raw))
      return skip(inner, 'what runs in the background is not followed')
    runSubshell([inner])
    return true
  }

  function runSubshell(body: readonly Statement[]): Ended {
    const status = memory.inSubshell(() => runAll(body))
    return typeof status === 'object' ? status.ended : status
  }

  function runWhile(statement: Statement & { kind: 'while' }): Status {
    const status = runAll(statement.condition)
    if (typeof status === 'object') return status
    if (status === 'unknown') return skip(statement, 'a loop whose condition only a running shell knows')
    if (status === statement.until) return true
    const message = 'a loop that repeats what it does: the agent keeps its rules in force by itself'
    tables.note({ line: statement.line, kind: 'covered', message })
    const ended = runAll(statement.body)
    return typeof ended === 'object' && /break|continue/.test(ended.leaves) ? true : ended
  }

  function runIf(statement: Statement & { kind: 'if' }): Status {
    for (const { condition, body } of statement.branches) {
      const status = runAll(condition)
      if (typeof status === 'object') return status
      if (status === 'unknown')
        return skip(statement, 'an "if" whose condition only a running shell knows: all of it is left out')
      if (status) return runAll(body)
    }
    return runAll(statement.otherwise)
  }

  function runCommand(statement: Statement & { kind: 'command' }): Status {
    commands += 1
    if (commands > mostCommands) throw new RangeError(`more than ${mostCommands} commands`)
    for (const { value } of statement.assignments) noteSubstitutions(value, statement)
    const [first] = statement.words
    if (first === undefined) {
      for (const { name, value } of statement.assignments) memory.assign(name, value)
      // It ends as what it substitutes does.
      const substitutes = statement.assignments.some(({ value }) => value.some(hasSubstitution))
      return substitutes ? 'unknown' : true
    }
    if (declarations.has(first.raw)) return declare(first.raw, statement)
    const words = expandWords(statement.words, variables)
    if (typeof words === 'string') {
      return skip(statement, `"${rawOf(statement)}" uses ${words}, which is not in this file`)
    }
    return memory.withAssignments(statement.assignments, () => dispatch(withoutPrefix(words), statement))
  }

  /** What calls a packet filter to have its output is not followed. */
  function noteSubstitutions(words: readonly Word[], statement: Statement): void {
    const calls = words.flatMap(({ parts }) => parts).filter((part) => part.kind === 'missing')
    const changing = calls.find(({ text }) => changesFilter.test(text))
    if (changing !== undefined)
      lose(statement, `"${changing.text}": its output is taken, so it is not followed`)
  }

  /** `local NAME=VALUE` and the like. */
  function declare(how: string, statement: Statement & { kind: 'command' }): Status {
    for (const word of statement.words.slice(1)) {
      noteSubstitutions([word], statement)
      const assignment = readAssignment(word)
      if (/^(local|declare|typeset)$/.test(how)) memory.keep(assignment?.name ?? word.raw)
      if (assignment !== undefined) memory.assign(assignment.name, assignment.value)
    }
    return true
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
      if (args.some((arg) => arg === '-t' || arg === '--test')) return 'unknown'
      const flush = !args.some((arg) => arg === '-n' || arg === '--noflush')
      readSavedInto(tables, hereDocument.text, { firstLine: hereDocument.firstLine, family, flush })
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
    if (isLeaving(name)) return leave(name, args, statement)
    if (name === '[' || name === '[[' || name === 'test') return testOf(args, name === '[[') ?? 'unknown'
    if (name === 'false') return false
    if (name === 'shift') return memory.shift(Number(args[0] ?? 1))
    if (name === 'unset') for (const variable of args) variables.delete(variable)
    if (name === 'set' && args[0] === '--') memory.setArguments(args.slice(1))
    if (name === 'trap' && changesFilter.test(args[0] ?? ''))
      lose(statement, `"${rawOf(statement)}" is not followed`)
    const writes = statement.redirections.some(
      (one) => /^(1|&)?>/.test(one) && !/\/dev\/(null|std)|>&/.test(one),
    )
    if (!harmless.has(name) || writes) lose(statement, `"${rawOf(statement)}" is no call of iptables`)
    return /^(true|:|echo|printf|set|sleep|export|local|readonly)$/.test(name) ? true : 'unknown'
  }

  function leave(leaves: Leaving, args: readonly string[], statement: Statement): Leave {
    const [argument] = args
    if (/^(break|continue)$/.test(leaves)) {
      if (argument !== undefined && argument !== '1')
        lose(statement, `"${leaves} ${argument}" leaves one loop here`)
      return { leaves, ended: true }
    }
    return { leaves, ended: argument === undefined ? 'unknown' : argument === '0' }
  }

  function callFunction(body: readonly Statement[], args: readonly string[]): Status {
    const status = memory.inFunction(args, () => runAll(body))
    return typeof status === 'object' && status.leaves === 'return' ? status.ended : status
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
