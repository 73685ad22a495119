import fc from 'fast-check'
import { stringify } from 'yaml'
import type { ToStringOptions } from 'yaml'
import { rulesetDocuments } from './arbitrary.ts'

/** Rulesets as people and programs write them. */
export function rulesetTexts(): fc.Arbitrary<string> {
  return fc.tuple(rulesetDocuments(), fc.option(yamlStyle, { nil: undefined })).map(([document, style]) => {
    const json = JSON.stringify(document, null, 1)
    // Through JSON, since a list that is twice the same object would be written as an alias.
    return style === undefined ? json : stringify(JSON.parse(json), style)
  })
}

/** The same with slips of the pen, any YAML values, and what only looks like YAML. */
export function yamlLikeTexts(): fc.Arbitrary<string> {
  const written = fc.oneof(
    rulesetTexts(),
    fc.tuple(values, yamlStyle).map(([value, style]) => stringify(value, style)),
    fc.array(indentedLine, { maxLength: 6 }).map((lines) => lines.join('\n')),
  )
  return fc
    .tuple(written, fc.array(fc.oneof(slip, lineSlip), { maxLength: 3 }))
    .map(([text, slips]) => slips.reduce((slipped, change) => change(slipped), text))
}

const yamlStyle: fc.Arbitrary<ToStringOptions & { indent: number }> = fc.record({
  indent: fc.constantFrom(1, 2, 4),
  collectionStyle: fc.constantFrom('any', 'block', 'flow'),
  defaultStringType: fc.constantFrom(
    'PLAIN',
    'QUOTE_DOUBLE',
    'QUOTE_SINGLE',
    'BLOCK_LITERAL',
    'BLOCK_FOLDED',
  ),
  lineWidth: fc.constantFrom(0, 0, 80, 20),
  indentSeq: fc.boolean(),
})

// What the grammar gives a meaning to, and what of it numbers, keys and addresses are mistaken for.
const marks = [
  [
    ': ',
    ':',
    ' :',
    '- ',
    '-',
    '? ',
    ', ',
    ',',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '""',
    "''",
    '#',
    ' # c',
    '\n# c\n',
  ],
  ['|', '>', '|-', '>+', '|2', '&a ', '*a', '!t ', '!!str ', '%', '@', '`', '\\', '\\n', '\\x41', '\\\n'],
  ['---', '...', '\n---\n', '\n...\n', '<<: ', '__proto__', '\t', '\r\n', '\r', '\u0085', '\u2028', '\ufeff'],
  [' ', '    ', '\n', '\n  ', '\n- ', 'a', 'b: ', 'é', '😀', '"a": ', "'b': ", '{a: b}', '[c, d]', '[a: b]'],
  [
    '1',
    '-1',
    '022',
    '0o7',
    '0x1f',
    '1e3',
    '.5',
    '.inf',
    '~',
    'null',
    'true',
    'True',
    '2001:db8::',
    '10.0.0.0/8',
  ],
].flat()
const mark = fc.constantFrom(...marks)
const indentedLine = fc
  .tuple(fc.nat(4), fc.array(mark, { maxLength: 6 }))
  .map(([indent, parts]) => ' '.repeat(indent) + parts.join(''))

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(fc.string({ maxLength: 12 }), fc.integer(), fc.boolean(), mark, fc.constant('two\nlines\n')),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.stringMatching(/^[a-z]{1,4}$/), mark), tie('value'), { maxKeys: 4 }),
  ),
})).value

type Slip = (text: string) => string

/** A few characters that something else stands for. */
const slip: fc.Arbitrary<Slip> = fc
  .tuple(fc.nat(), fc.nat(6), fc.oneof(mark, fc.constant('')))
  .map(([place, length, insert]) => (text) => {
    const at = place % (text.length + 1)
    return text.slice(0, at) + insert + text.slice(at + length)
  })

/** A line that is gone, twice there, joined to the next, or indented as it should not be. */
const lineSlip: fc.Arbitrary<Slip> = fc
  .tuple(
    fc.nat(),
    fc.constantFrom<Slip>(
      (line) => `${line}\n${line}`,
      (line) => ` ${line}`,
      (line) => line.slice(1),
      () => '',
      () => '# c',
      (line) => `# ${line}`,
    ),
  )
  .map(([place, change]) => (text) => {
    const lines = text.split('\n')
    const at = place % lines.length
    return lines.with(at, change(lines[at] ?? '')).join('\n')
  })
