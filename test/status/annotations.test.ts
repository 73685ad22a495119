import { describe, expect, test } from 'vitest'
import { toAnnotations } from '../../agent/status/annotations.ts'
import { readStatus } from '../../agent/status/read-status.ts'
import type { Status, StatusDetails } from '../../agent/status/status.ts'
import { checkAnnotations } from './check-annotations.ts'

const long = 'k'.repeat(300_000)
const many = Array.from({ length: 20_000 }, (_, index) => `ipv4: set node-firewall-4-${index} does not exist`)
const at = '2026-03-01T12:00:00Z'

/** What the API server takes of all annotations of an object together; those of others need room too. */
const roomBytes = 64 * 1024

describe('a status is written whatever it quotes', () => {
  test.each<[string, Partial<StatusDetails>]>([
    ['a key without end in a ruleset', { problems: Array.from({ length: 5 }, () => long) }],
    ['letters of several bytes', { warnings: Array.from({ length: 10 }, () => '火'.repeat(100_000)) }],
    [
      'thousands of sets that are gone',
      { drift: { count: 1, byKind: {}, last: { at, message: many.join('; '), healed: true } } },
    ],
    ['thousands of notes', { connections: { at, cut: 0, failed: many.length, notes: many } }],
    [
      'a command that fails at length',
      { families: { ipv4: { inForce: 'unknown', ruleset: '', rules: 0, position: 'absent', error: long } } },
    ],
  ])('%s', (_, details) => {
    const annotations = checkAnnotations(toAnnotations(statusOf(details)))
    expect(Buffer.byteLength(JSON.stringify(annotations))).toBeLessThan(roomBytes)
    expect(readStatus(annotations as Record<string, string>)?.unreadable).toEqual([])
  })

  test('what is left out is seen to be', () => {
    const { problems = [], connections } = detailsOf({
      problems: ['short', long],
      connections: { at, cut: 0, failed: 0, notes: many },
    })
    expect(problems[0]).toBe('short')
    expect(problems[1]).toMatch(/^k{100,}\.\.\.$/)
    expect(connections?.notes.at(-1)).toMatch(/^and \d+ more$/)
  })
})

function detailsOf(details: Partial<StatusDetails>) {
  return readStatus(toAnnotations(statusOf(details)) as Record<string, string>)?.details ?? {}
}

function statusOf(details: Partial<StatusDetails>): Status {
  const nothing = { problems: [], warnings: [], notEnforceable: [] }
  const drift = { count: 0, byKind: {} }
  return {
    state: 'Enforcing',
    ruleset: 'none',
    message: 'fine',
    details: { interfaces: { external: [] }, families: {}, drift, ...nothing, ...details },
  }
}
