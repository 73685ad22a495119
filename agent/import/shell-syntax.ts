import type { Part, Token } from './shell-tokens.ts'

export type Word = { readonly parts: readonly Part[]; readonly raw: string }
export type HereDocument = { readonly text: string; readonly firstLine: number }

/** A shell script as commands (POSIX shell, 2.9). Each knows the lines it stands on. */
export type Statement = { readonly line: number; readonly lastLine: number } & (
  | {
      readonly kind: 'command'
      readonly assignments: readonly { readonly name: string; readonly value: readonly Word[] }[]
      readonly words: readonly Word[]
      readonly redirections: readonly string[]
      readonly hereDocument?: HereDocument
    }
  | {
      readonly kind: 'sequence'
      readonly first: Statement
      readonly operator: '&&' | '||'
      readonly second: Statement
    }
  | { readonly kind: 'not'; readonly inner: Statement }
  | { readonly kind: 'pipe'; readonly parts: readonly Statement[] }
  | { readonly kind: 'background'; readonly inner: Statement }
  | { readonly kind: 'group'; readonly body: readonly Statement[]; readonly subshell: boolean }
  | {
      readonly kind: 'for'
      readonly variable: string
      readonly words: readonly Word[]
      readonly body: readonly Statement[]
    }
  | {
      readonly kind: 'while'
      readonly until: boolean
      readonly condition: readonly Statement[]
      readonly body: readonly Statement[]
    }
  | {
      readonly kind: 'if'
      readonly branches: readonly {
        readonly condition: readonly Statement[]
        readonly body: readonly Statement[]
      }[]
      readonly otherwise: readonly Statement[]
    }
  | { readonly kind: 'function'; readonly name: string; readonly body: readonly Statement[] }
  /** Left unread. */
  | { readonly kind: 'unread'; readonly what: string }
)

/** Reads the commands of a script; what it cannot read becomes `unread`, and reading goes on behind it. */
export function parseShell(tokens: readonly Token[]): Statement[] {
  let at = 0

  const peek = () => tokens[at]
  const lineHere = () => peek()?.line ?? tokens.at(-1)?.line ?? 1
  const lastLine = () => tokens[at - 1]?.line ?? 1
  const isOperator = (...texts: readonly string[]) => {
    const token = peek()
    return token?.kind === 'operator' && texts.includes(token.text)
  }
  const isWord = (...texts: readonly string[]) => {
    const token = peek()
    return token?.kind === 'word' && texts.includes(token.raw)
  }
  const skipBreaks = () => {
    while (isOperator('\n', ';', '&')) at += 1
  }
  const accept = (...texts: readonly string[]) => {
    skipBreaks()
    const found = isWord(...texts) || isOperator(...texts)
    if (found) at += 1
    return found
  }

  const statements: Statement[] = []
  while (at < tokens.length) {
    const before = at
    statements.push(...parseList([]))
    // A closing word that nothing opened.
    if (at < tokens.length && at === before) {
      statements.push({
        kind: 'unread',
        what: `a stray "${textOf(peek())}"`,
        line: lineHere(),
        lastLine: lineHere(),
      })
      at += 1
    }
  }
  return statements

  function parseList(ends: readonly string[]): Statement[] {
    const list: Statement[] = []
    for (;;) {
      skipBreaks()
      if (at >= tokens.length || isWord(...ends) || isOperator(...ends)) return list
      if (isWord('then', 'fi', 'do', 'done', 'else', 'elif', 'esac') || isOperator(')', '}', ';;'))
        return list
      const line = lineHere()
      const inner = parseSequence()
      list.push(isOperator('&') ? { kind: 'background', inner, line, lastLine: lastLine() } : inner)
    }
  }

  function parseSequence(): Statement {
    const line = lineHere()
    let first = parsePipe()
    while (isOperator('&&', '||')) {
      const operator = isOperator('&&') ? '&&' : '||'
      at += 1
      while (isOperator('\n')) at += 1
      const second = parsePipe()
      first = { kind: 'sequence', first, operator, second, line, lastLine: lastLine() }
    }
    return first
  }

  function parsePipe(): Statement {
    const line = lineHere()
    if (isWord('!')) {
      at += 1
      return { kind: 'not', inner: parsePipe(), line, lastLine: lastLine() }
    }
    const first = parseCommand()
    if (!isOperator('|')) return first
    const parts = [first]
    while (isOperator('|')) {
      at += 1
      while (isOperator('\n')) at += 1
      parts.push(parseCommand())
    }
    return { kind: 'pipe', parts, line, lastLine: lastLine() }
  }

  function parseCommand(): Statement {
    const line = lineHere()
    const done = (statement: Unplaced): Statement => {
      while (peek()?.kind === 'redirection') at += 1
      return { ...statement, line, lastLine: lastLine() }
    }
    if (isOperator('(', '{')) {
      const subshell = isOperator('(')
      const end = subshell ? ')' : '}'
      at += 1
      const body = parseList([end])
      return accept(end)
        ? done({ kind: 'group', body, subshell })
        : done({ kind: 'unread', what: `a group without "${end}"` })
    }
    if (isWord('for')) return done(parseFor())
    if (isWord('while', 'until')) return done(parseWhile())
    if (isWord('if')) return done(parseIf())
    if (isWord('case')) return done(skipCase())
    if (isWord('function')) {
      at += 1
      const next = tokens[at + 1]
      const short = next?.kind === 'operator' && next.text !== '('
      if (short) return done(parseFunction(textOf(tokens[at++])))
    }
    return done(parseSimple())
  }

  function parseFor(): Unplaced {
    at += 1
    const variable = textOf(peek())
    at += 1
    // Without a list it goes through the arguments.
    let words: Word[] = [{ raw: '$@', parts: [{ kind: 'variable', name: '@', quoted: false }] }]
    if (accept('in')) {
      words = []
      for (let token = peek(); token?.kind === 'word'; token = peek()) {
        words.push(token)
        at += 1
      }
    }
    const body = accept('do') ? parseList(['done']) : []
    if (!accept('done') || !/^[A-Za-z_]\w*$/.test(variable))
      return { kind: 'unread', what: 'a "for" of another form' }
    return { kind: 'for', variable, words, body }
  }

  function parseWhile(): Unplaced {
    const until = isWord('until')
    at += 1
    const condition = parseList(['do'])
    const body = accept('do') ? parseList(['done']) : []
    return accept('done')
      ? { kind: 'while', until, condition, body }
      : { kind: 'unread', what: 'a loop without "done"' }
  }

  function parseIf(): Unplaced {
    const branches: { condition: Statement[]; body: Statement[] }[] = []
    let otherwise: Statement[] = []
    do {
      at += 1
      const condition = parseList(['then'])
      const body = accept('then') ? parseList(['elif', 'else', 'fi']) : []
      branches.push({ condition, body })
    } while (isWord('elif'))
    if (accept('else')) otherwise = parseList(['fi'])
    return accept('fi')
      ? { kind: 'if', branches, otherwise }
      : { kind: 'unread', what: 'an "if" without "fi"' }
  }

  function skipCase(): Unplaced {
    let depth = 0
    do {
      if (isWord('case')) depth += 1
      if (isWord('esac')) depth -= 1
      at += 1
    } while (at < tokens.length && depth > 0)
    return { kind: 'unread', what: 'a "case"' }
  }

  function parseSimple(): Unplaced {
    const assignments: { name: string; value: Word[] }[] = []
    const words: Word[] = []
    const redirections: string[] = []
    let hereDocument: HereDocument | undefined
    for (let token = peek(); token !== undefined; token = peek()) {
      if (token.kind === 'redirection') redirections.push(token.text)
      else if (token.kind === 'here-document') hereDocument = token
      else if (token.kind === 'word') {
        const assignment = words.length === 0 ? readAssignment(token) : undefined
        if (assignment === undefined) words.push(token)
        else {
          assignments.push(assignment)
          at += 1
          if (assignment.value[0]?.raw === '' && isOperator('(')) assignment.value = parseArray()
          continue
        }
      } else if (token.text === '(' && words.length === 1) {
        at += 1
        const name = words[0]?.raw ?? ''
        return accept(')') ? parseFunction(name) : { kind: 'unread', what: `"${name}(" of unknown form` }
      } else if (isOperator('{', '}') && words.length > 0)
        words.push({ raw: token.text, parts: [{ kind: 'text', text: token.text, quoted: false }] })
      else break
      at += 1
    }
    if (words.length + assignments.length === 0 && redirections.length === 0) at += 1
    return {
      kind: 'command',
      assignments,
      words,
      redirections,
      ...(hereDocument === undefined ? {} : { hereDocument }),
    }
  }

  function parseArray(): Word[] {
    const members: Word[] = []
    at += 1
    for (let token = peek(); token !== undefined && !isOperator(')'); token = peek()) {
      if (token.kind === 'word') members.push(token)
      at += 1
    }
    at += 1
    return members
  }

  function parseFunction(name: string): Unplaced {
    while (isOperator('\n')) at += 1
    if (!isOperator('{')) return { kind: 'unread', what: `function ${name} of unknown form` }
    at += 1
    const body = parseList(['}'])
    return accept('}')
      ? { kind: 'function', name, body }
      : { kind: 'unread', what: `function ${name} without "}"` }
  }
}

type Unplaced = Statement extends infer S
  ? S extends Statement
    ? Omit<S, 'line' | 'lastLine'>
    : never
  : never

/** `NAME=VALUE` before a command, or after `export` and the like. */
export function readAssignment({ parts, raw }: Word): { name: string; value: Word[] } | undefined {
  const [first, ...rest] = parts
  const [, name, text] =
    first?.kind === 'text' && !first.quoted ? (/^([A-Za-z_]\w*)=(.*)$/s.exec(first.text) ?? []) : []
  if (name === undefined || text === undefined) return undefined
  const head: Part[] = text === '' ? [] : [{ kind: 'text', text, quoted: false }]
  return { name, value: [{ raw: raw.slice(name.length + 1), parts: [...head, ...rest] }] }
}

function textOf(token: Token | undefined): string {
  if (token === undefined) return 'end of the file'
  return token.kind === 'word' ? token.raw : token.text
}
