import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatAge, parseDuration } from '../../agent/fleet/duration.ts'
import { plainJson, plainLine } from '../../agent/fleet/plain-text.ts'
import { formatDetails } from '../../agent/fleet/status-details.ts'
import { formatTable } from '../../agent/fleet/status-table.ts'
import { assessNode, staleAfterMs, worstFirst } from '../../agent/status/assess.ts'
import { fleet, now } from './fleet.ts'

const nodes = worstFirst(
  Object.entries(fleet).map(([name, annotations]) =>
    assessNode({ name, annotations }, { now, staleAfter: staleAfterMs }),
  ),
)
const golden = (name: string) => join(import.meta.dirname, 'golden', name)
const text = (lines: readonly string[]) => `${lines.join('\n')}\n`

describe('the table', () => {
  test('of nodes that say all kinds of things, the worst first', async () => {
    await expect(text(formatTable(nodes, { now }))).toMatchFileSnapshot(golden('status-table.txt'))
  })

  test('is no wider than the terminal, and says where it was cut', async () => {
    const lines = formatTable(nodes, { now, width: 80 })
    expect(lines.every((line) => line.length <= 80)).toBe(true)
    await expect(text(lines)).toMatchFileSnapshot(golden('status-table-80.txt'))
  })

  test('of no nodes is its head', () => {
    expect(formatTable([], { now })).toHaveLength(1)
  })
})

test.each(nodes.map((assessed) => [assessed.node, assessed] as const))(
  'all that %s says',
  async (name, assessed) => {
    await expect(text(formatDetails(assessed, now))).toMatchFileSnapshot(golden(`status-${name}.txt`))
  },
)

test('nothing that a node says can steer the terminal', () => {
  const printed = [
    ...formatTable(nodes, { now }),
    ...nodes.flatMap((node) => formatDetails(node, now)),
    plainJson(nodes),
  ]
  expect(printed.join('')).toContain('red:')
  expect(printed.join('')).not.toMatch(/[\p{Cc}]/u)
  expect(plainLine('a\u202Eb\u2028c')).toBe('a b c')
  expect(JSON.parse(plainJson({ a: '\u009B\u0000é' }))).toEqual({ a: '\u009B\u0000é' })
})

test.each([
  ['90s', 90_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['1h1s', 3_601_000],
  ['0s', undefined],
  ['', undefined],
  ['5', undefined],
  ['5m ', undefined],
  ['1s1m', undefined],
  ['-5m', undefined],
  ['9999h', undefined],
])('the time "%s" is %s ms', (given, ms) => {
  expect(parseDuration(given)).toBe(ms)
})

test.each([
  [-5_000, '0s'],
  [59_999, '59s'],
  [119_000, '119s'],
  [120_000, '2m'],
  [7_200_000, '2h'],
  [172_800_000, '2d'],
])('%i ms are shown as %s', (ms, shown) => {
  expect(formatAge(ms)).toBe(shown)
})
