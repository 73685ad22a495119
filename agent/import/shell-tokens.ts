/** A part of a word. Text in quotes is never split; `missing` is what only a running shell could tell. */
export type Part =
  | { readonly kind: 'text'; readonly text: string; readonly quoted: boolean }
  | {
      readonly kind: 'variable'
      readonly name: string
      readonly fallback?: string
      readonly orEmpty?: boolean
      readonly quoted: boolean
    }
  | { readonly kind: 'missing'; readonly text: string }

export type Token =
  | { readonly kind: 'word'; readonly parts: readonly Part[]; readonly raw: string; readonly line: number }
  | { readonly kind: 'operator'; readonly text: string; readonly line: number }
  | { readonly kind: 'redirection'; readonly text: string; readonly line: number }
  | {
      readonly kind: 'here-document'
      readonly text: string
      readonly line: number
      readonly firstLine: number
    }

export type Tokens = {
  readonly tokens: readonly Token[]
  /** Comments by line; `alone`: nothing else stands there. */
  readonly comments: ReadonlyMap<number, { readonly text: string; readonly alone: boolean }>
}

/** Splits a shell script into words and operators (POSIX shell, 2.3), as far as firewall scripts need it. */
export function tokenizeShell(text: string): Tokens {
  const tokens: Token[] = []
  const comments = new Map<number, { text: string; alone: boolean }>()
  const waiting: { end: string; line: number }[] = []
  let at = 0
  let line = 1

  const skipTo = (end: number) => {
    const passed = text.slice(at, end)
    line += passed.split('\n').length - 1
    at = end
    return passed
  }
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }

  while (at < text.length) {
    const character = text[at] ?? ''
    const operator = match(/&&|\|\||;;|[;&|(){}](?=[\s;]|$)|[;&|()]/y)
    const redirection = match(/(\d+|&)?(<<-?|<>|>>|>\||[<>]&?)/y)
    if (text.startsWith('\\\n', at)) skipTo(at + 2)
    else if (character === '\n') {
      tokens.push({ kind: 'operator', text: '\n', line })
      skipTo(at + 1)
      for (const { end, line: from } of waiting.splice(0)) readHereDocument(end, from)
    } else if (/\s/.test(character)) at += 1
    else if (character === '#') {
      const comment = skipTo(endOfLine())
      const alone = tokens.at(-1)?.line !== line || tokens.at(-1)?.kind === 'operator'
      comments.set(line, { text: comment.replace(/^#+/, '').trim(), alone })
    } else if (redirection !== null) {
      skipTo(at + redirection[0].length)
      const kind = redirection[2] ?? ''
      skipTo(at + (match(/[ \t]*/y)?.[0].length ?? 0))
      const from = line
      const { raw } = readWord()
      if (kind.startsWith('<<')) waiting.push({ end: raw.replace(/^["'\\]|["']$/g, ''), line: from })
      else tokens.push({ kind: 'redirection', text: `${redirection[0]}${raw}`, line: from })
    } else if (operator !== null) {
      tokens.push({ kind: 'operator', text: operator[0], line })
      skipTo(at + operator[0].length)
    } else {
      const from = line
      const word = readWord()
      tokens.push({ kind: 'word', ...word, line: from })
    }
  }
  tokens.push({ kind: 'operator', text: '\n', line })
  return { tokens, comments }

  function endOfLine(): number {
    const end = text.indexOf('\n', at)
    return end < 0 ? text.length : end
  }

  /** Its lines stand after the line that asks for it, so its token is moved there. */
  function readHereDocument(end: string, asked: number): void {
    const firstLine = line
    const lines: string[] = []
    while (at < text.length) {
      const content = skipTo(endOfLine())
      if (at < text.length) skipTo(at + 1)
      if (content.replace(/^\t+/, '') === end) break
      lines.push(content)
    }
    tokens.splice(-1, 0, { kind: 'here-document', text: lines.join('\n'), line: asked, firstLine })
  }

  function readWord(): { parts: Part[]; raw: string } {
    const parts: Part[] = []
    const start = at
    while (at < text.length && !/[\s;&|()<>]/.test(text[at] ?? '')) {
      const character = text[at]
      if (text.startsWith('\\\n', at)) skipTo(at + 2)
      else if (character === '\\') parts.push({ kind: 'text', text: skipTo(at + 2).slice(1), quoted: true })
      else if (character === "'") {
        const end = text.indexOf("'", at + 1)
        parts.push({ kind: 'text', text: skipTo(end < 0 ? text.length : end + 1).slice(1, -1), quoted: true })
      } else if (character === '"') readQuoted(parts)
      else if (character === '$' || character === '`') parts.push(readExpansion(false))
      else {
        const plain = match(/[^\s;&|()<>\\'"$`]+/y)?.[0] ?? character ?? ''
        parts.push({ kind: 'text', text: plain, quoted: false })
        at += plain.length
      }
    }
    if (at === start) at += 1
    return { parts, raw: text.slice(start, at) }
  }

  function readQuoted(parts: Part[]): void {
    at += 1
    parts.push({ kind: 'text', text: '', quoted: true })
    while (at < text.length && text[at] !== '"') {
      if (text.startsWith('\\\n', at)) skipTo(at + 2)
      else if (text[at] === '\\')
        parts.push({ kind: 'text', text: skipTo(at + 2).replace(/^\\(["\\$`])/, '$1'), quoted: true })
      else if (text[at] === '$' || text[at] === '`') parts.push(readExpansion(true))
      else {
        const plain = match(/[^\\"$`]+/y)?.[0] ?? ''
        parts.push({ kind: 'text', text: plain, quoted: true })
        skipTo(at + plain.length)
      }
    }
    at += 1
  }

  function readExpansion(quoted: boolean): Part {
    const simple = match(
      /\$(?:([A-Za-z_]\w*|[0-9@*#?$!-])|\{([A-Za-z_]\w*|[0-9@*])(?:\[[@*]\])?(?:(:?)-([^{}$`"']*))?\})/y,
    )
    if (simple !== null) {
      skipTo(at + simple[0].length)
      const [, bare, braced, colon, fallback] = simple
      return {
        kind: 'variable',
        name: bare ?? braced ?? '',
        quoted,
        ...(fallback === undefined ? {} : { fallback, orEmpty: colon === ':' }),
      }
    }
    if (text[at] === '`') {
      const end = text.indexOf('`', at + 1)
      return { kind: 'missing', text: skipTo(end < 0 ? text.length : end + 1) }
    }
    const opening = text[at + 1]
    if (opening !== '(' && opening !== '{') return { kind: 'text', text: skipTo(at + 1), quoted }
    const closing = opening === '(' ? ')' : '}'
    let depth = 0
    let end = at + 1
    for (; end < text.length; end += 1) {
      if (text[end] === opening) depth += 1
      else if (text[end] === closing) depth -= 1
      if (depth === 0) break
    }
    return { kind: 'missing', text: skipTo(Math.min(text.length, end + 1)) }
  }
}
