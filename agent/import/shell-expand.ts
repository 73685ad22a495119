import type { Word } from './shell-syntax.ts'

export type Variables = Map<string, string>

/** The text of a word as one field; `missing` names what is not known of it. */
export function expandWord(word: Word, variables: Variables): { text: string } | { missing: string } {
  let text = ''
  for (const part of word.parts) {
    if (part.kind === 'missing') return { missing: part.text }
    if (part.kind === 'text') text += part.text
    else {
      const known = variables.get(part.name)
      const value = known === undefined || (known === '' && part.orEmpty === true) ? part.fallback : known
      if (value === undefined) return { missing: `$${part.name}` }
      text += value
    }
  }
  return { text }
}

/** The fields that words become: variables outside of quotes are split at spaces. A string names what is missing. */
export function expandWords(words: readonly Word[], variables: Variables): string[] | string {
  const fields: string[] = []
  for (const word of words) {
    const whole = expandWord(word, variables)
    if ('missing' in whole) return whole.missing
    // Spaces can only come from variables here: the text of a word has none outside of quotes.
    const splits = word.parts.some((part) => part.kind === 'variable' && !part.quoted)
    const quoted = word.parts.some((part) => part.kind !== 'missing' && part.quoted)
    const expanded = splits && !quoted ? whole.text.split(/\s+/).filter(Boolean) : [whole.text]
    fields.push(...expanded.flatMap((field) => (quoted ? [field] : expandBraces(field))))
  }
  return fields
}

/** `{80,443}` and `{1..3}`, once in a word. */
function expandBraces(field: string): string[] {
  const [whole, head = '', list, tail = ''] = /^([^{}]*)\{([^{}]*)\}([^{}]*)$/.exec(field) ?? []
  if (whole === undefined || list === undefined) return [field]
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(list) ?? []
  if (first !== undefined && last !== undefined) {
    const count = Number(last) - Number(first) + 1
    if (count < 1 || count > 1000) return [field]
    return Array.from({ length: count }, (_, index) => `${head}${Number(first) + index}${tail}`)
  }
  return list.includes(',') ? list.split(',').map((member) => `${head}${member}${tail}`) : [field]
}

/**
 * The answer of `[ ... ]` for texts that are known; `undefined` for tests of files and the like. What `[[ ... ]]`
 * compares with may be a pattern.
 */
export function testOf(words: readonly string[], patterns = false): boolean | undefined {
  const args = words.filter((word, index) => index < words.length - 1 || (word !== ']' && word !== ']]'))
  const [a = '', operator, b = ''] = args
  if (args[0] === '!' && args.length > 1) {
    const inner = testOf(args.slice(1), patterns)
    return inner === undefined ? undefined : !inner
  }
  if (args.length === 1) return a !== ''
  if (args.length === 2 && (a === '-n' || a === '-z')) return (operator === '') === (a === '-z')
  if (args.length !== 3 || (patterns && /[*?[\\]/.test(b))) return undefined
  if (operator === '=' || operator === '==') return a === b
  return operator === '!=' ? a !== b : undefined
}
