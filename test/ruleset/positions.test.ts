import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPositions } from '../../agent/ruleset/positions.ts'

test('a position counts the line breaks before an offset, and the characters since the last one', () => {
  const texts = fc.array(fc.constantFrom('a', 'bc', '\n', '\n\n', '\r\n', 'é')).map((parts) => parts.join(''))
  fc.assert(
    fc.property(texts, (text) => {
      const position = createPositions(text)
      for (let offset = 0; offset <= text.length; offset += 1) {
        const lines = text.slice(0, offset).split('\n')
        expect(position(offset)).toEqual({ line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 })
      }
    }),
  )
})
