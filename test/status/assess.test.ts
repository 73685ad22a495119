import { describe, expect, test } from 'vitest'
import { assessNode, staleAfterMs, summarize, worstFirst, worstSeverity } from '../../agent/status/assess.ts'
import type { Assessed } from '../../agent/status/assess.ts'
import { verifiedEveryMs } from '../../agent/status/publish.ts'

const now = Date.parse('2026-03-01T12:00:00Z')
const ago = (ms: number) => new Date(now - ms).toISOString()

function assess(name: string, state?: string, verifiedAt?: string): Assessed {
  const annotations = {
    ...(state === undefined ? {} : { 'node-firewall.io/state': state }),
    ...(verifiedAt === undefined ? {} : { 'node-firewall.io/verified-at': verifiedAt }),
  }
  return assessNode({ name, annotations }, { now, staleAfter: staleAfterMs })
}

describe('how bad it is', () => {
  test.each([
    ['Enforcing', 0],
    ['Auditing', 0],
    ['Off', 0],
    ['Waiting', 1],
    ['Confirming', 1],
    ['RolledBack', 3],
    ['Invalid', 3],
    ['Degraded', 3],
    ['Pondering', 4],
    ['toString', 4],
  ])('%s: %i', (state, severity) => {
    expect(assess('a', state, ago(1_000))).toMatchObject({ condition: state, severity })
  })

  test('without a status: 4', () => {
    expect(assess('a')).toMatchObject({ condition: 'NoStatus', severity: 4 })
  })
})

describe('who is silent', () => {
  test.each([
    ['as long as may be', 'Enforcing', ago(staleAfterMs), 'Enforcing'],
    ['for longer', 'Enforcing', ago(staleAfterMs + 1), 'Stale'],
    ['for longer, whatever was said', 'RolledBack', ago(staleAfterMs + 1), 'Stale'],
    ['for longer, but cannot verify anything', 'Degraded', ago(staleAfterMs + 1), 'Degraded'],
    ['with a clock that is ahead', 'Enforcing', ago(-60_000), 'Enforcing'],
    ['with a clock that is far ahead', 'Enforcing', ago(-staleAfterMs - 1), 'Stale'],
    ['with a time that is none', 'Enforcing', 'yesterday', 'Stale'],
    ['and says that all is well, but not since when', 'Off', undefined, 'Stale'],
    ['and has never verified anything', 'Waiting', undefined, 'Waiting'],
  ])('%s', (_, state, verifiedAt, condition) => {
    expect(assess('a', state, verifiedAt)).toMatchObject({ condition })
  })

  test.each([
    [
      'silent',
      ago(7_200_000),
      'it said Enforcing, and nothing since 2026-03-01T10:00:00.000Z: does its agent run? ',
    ],
    [
      'ahead',
      ago(-7_200_000),
      'it said Enforcing at 2026-03-01T14:00:00.000Z, which is yet to come: is its clock right, or the one here? ',
    ],
    ['of no time', undefined, 'it said Enforcing, and not when that was verified '],
  ])('what is said of one that is %s', (_, verifiedAt, message) => {
    expect(assess('a', 'Enforcing', verifiedAt).message).toBe(message.trim())
  })

  test('a well agent is never taken for a silent one: it may miss its latest write', () => {
    expect(staleAfterMs).toBeGreaterThanOrEqual(2 * 1.5 * verifiedEveryMs)
  })
})

test('the worst come first, those that are alike by name, and numbers in names count as such', () => {
  const nodes = [
    assess('w-10', 'Enforcing', ago(1_000)),
    assess('w-2', 'Enforcing', ago(1_000)),
    assess('b', 'Waiting'),
    assess('c', 'Invalid'),
    assess('d', 'RolledBack'),
    assess('e', 'Enforcing', ago(staleAfterMs + 1)),
    assess('f'),
    assess('g', 'Pondering'),
  ]
  const sorted = worstFirst(nodes)
  expect(sorted.map(({ node }) => node)).toEqual(['g', 'f', 'e', 'd', 'c', 'b', 'w-2', 'w-10'])
  expect(worstSeverity(sorted)).toBe(4)
  expect(worstSeverity(sorted.slice(3))).toBe(3)
  expect(worstSeverity(sorted.slice(5))).toBe(1)
  expect(worstSeverity(sorted.slice(6))).toBe(0)
  expect(worstSeverity([])).toBe(0)
  expect(summarize(sorted)).toBe(
    '8 nodes: 1 Pondering, 1 NoStatus, 1 Stale, 1 RolledBack, 1 Invalid, 1 Waiting, 2 Enforcing',
  )
  expect(summarize(sorted.slice(7))).toBe('1 node: 1 Enforcing')
})
