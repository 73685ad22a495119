import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readQuickly } from '../../agent/ruleset/quick-yaml.ts'
import { readStrictly } from '../../agent/ruleset/yaml.ts'
import type { YamlDocument, YamlPath } from '../../agent/ruleset/yaml.ts'
import { namedRules } from '../../scripts/bench/rulesets.ts'
import { rulesetTexts, yamlLikeTexts } from './arbitrary-yaml.ts'

/** All of a document: its value with the keys in their order, and where everything in it stands. */
function contentOf({ value, at }: YamlDocument): unknown {
  const places: unknown[] = []
  const visit = (path: YamlPath, inner: unknown) => {
    places.push([path, at(path), at(path, 'key'), at([...path, 'absent']), at([...path, 'absent', 0], 'key')])
    if (typeof inner !== 'object' || inner === null) return
    for (const [key, part] of Object.entries(inner))
      visit([...path, Array.isArray(inner) ? Number(key) : key], part)
  }
  visit([], value)
  return { text: JSON.stringify(value), value, places }
}

function expectSame(text: string, quick: YamlDocument): void {
  const { document, problems } = readStrictly(text)
  expect(problems).toEqual([])
  expect(document === undefined ? undefined : contentOf(document)).toEqual(contentOf(quick))
}

describe('what is read quickly is read strictly as the same, in the same place', () => {
  test.each([
    ['every ruleset; most are read quickly', rulesetTexts(), { runs: 200, least: 150 }],
    ['whatever looks like YAML', yamlLikeTexts(), { runs: 2_000, least: 100 }],
  ])('%s', (_, texts, { runs, least }) => {
    let quick = 0
    fc.assert(
      fc.property(texts, (text) => {
        const document = readQuickly(text)
        if (document === undefined) return
        quick += 1
        expectSame(text, document)
      }),
      { numRuns: runs },
    )
    expect(quick).toBeGreaterThan(least)
  })

  test.each([
    ['a ruleset of 1,000 rules', namedRules(1_000, true)],
    ['comments and empty lines', '# c\n\na: b # c\n# c\nl:\n# c\n  - 1\n\n  - {c: d} # c\n'],
    ['lists that are not indented', 'a:\n- b\n- c: d\n  e: [f,\n    g]\n'],
    ['texts of several lines', 'a: |\n  b\n\n  c\nd: >-\n  e\n  f\n'],
    ['a pair in a list', 'a: [b: c, 2001:db8:::1]\n'],
    ['quotes and escapes', `a: "\\x41\\"\\u00e9"\n"b": 'it''s'\n`],
    ['letters of any script', 'a: é # 😀\nb: 😀\n'],
    ['numbers that are none', 'a: [1.2.3.4, 22-23, 0x, "022", 1_000, 10.0.0.0/8]\n'],
  ])('%s', (_, text) => {
    const document = readQuickly(text)
    expect(document).toBeDefined()
    if (document !== undefined) expectSame(text, document)
  })

  test('every preset', () => {
    const presets = globSync(join(import.meta.dirname, '..', '..', 'rulesets', '*', '*.yaml'))
    expect(presets.length).toBeGreaterThan(12)
    for (const preset of presets) {
      const text = readFileSync(preset, 'utf8')
      const document = readQuickly(text)
      expect({ preset, isQuick: document !== undefined }).toEqual({ preset, isQuick: true })
      if (document !== undefined) expectSame(text, document)
    }
  })
})

describe('what is unusual or wrong is left to the strict reader', () => {
  test.each([
    ['nothing', ''],
    ['a text alone', 'a\n'],
    ['a tab', 'a: b\t# c\n'],
    ['line breaks of Windows', 'a: b\r\n'],
    ['the start of a document', '---\na: b\n'],
    ['the end of a document', 'a: b\n...\n'],
    ['a directive', '%YAML 1.2\n---\na: b\n'],
    ['a second document', 'a: b\n---\nc: d\n'],
    ['an anchor', 'a: &b c\n'],
    ['an alias', 'a: &b c\nd: *b\n'],
    ['an anchor of a map', 'a: &b\n  c: d\n'],
    ['an anchor of a key', '&a b: c\n'],
    ['a tag', 'a: !!str b\n'],
    ['a key twice', 'a: b\na: c\n'],
    ['a key twice, in braces', '{a: b, "a": c}\n'],
    ['a key that is a map', '{a: b}: c\n'],
    ['a key that is a number', '1: a\n'],
    ['a key with a space', 'a b: c\n'],
    ['__proto__', '__proto__: {a: b}\n'],
    ['no value', 'a:\n'],
    ['a null', 'a: null\n'],
    ['an octal number', 'a: 022\n'],
    ['a number of YAML 1.2', 'a: 0o22\n'],
    ['a fraction', 'a: 1.5\n'],
    ['a True', 'a: True\n'],
    ['a key behind the end of a list', 'a:\n- "b" c: d\n'],
    ['a comment before a brace that closes', '{a: b\n# c\n}\n'],
    ['a text with its indentation', 'a: |2\n    b\n'],
    ['brackets without end', '['.repeat(50_000)],
    ['a broken quote', 'a: "b\n'],
    ['a quote over two lines', 'a: "b\n  c"\n'],
    ['a plain text over two lines', 'a: b\n  c\n'],
    ['a mark of a document that is indented', ' ---\n- a\n'],
  ])('%s', (_, text) => {
    expect(readQuickly(text)).toBeUndefined()
  })
})
