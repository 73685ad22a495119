import { describe, expect, test } from 'vitest'
import { readStatus } from '../../agent/status/read-status.ts'

const drift = { count: 0, byKind: {} }

function read(status: unknown) {
  const text = typeof status === 'string' ? status : JSON.stringify(status)
  return readStatus({ 'node-firewall.io/state': 'Enforcing', 'node-firewall.io/status': text })
}

test('a Node without the annotation of a state has none', () => {
  expect(readStatus({})).toBeUndefined()
  expect(readStatus({ 'node-firewall.io/mode': 'off', 'example.org/state': 'x' })).toBeUndefined()
})

describe('what another version of the agent wrote', () => {
  test('unknown keys are passed over', () => {
    const family = { inForce: 'yes', ruleset: 'a', rules: 1, position: 'first' }
    const status = {
      drift: { ...drift, speed: 9 },
      families: { ipv4: { ...family, mood: 'good' } },
      new: [1],
    }
    expect(read(status)).toMatchObject({ details: { drift, families: { ipv4: family } }, unreadable: [] })
    expect(JSON.stringify(read(status))).not.toMatch(/mood|speed|new/)
  })

  test('missing keys are missing', () => {
    expect(read({ drift })).toMatchObject({ details: { drift }, unreadable: [] })
  })

  test('a word that is not known takes its own key with it, and no other', () => {
    const status = { drift, change: { ruleset: 'a', step: 'pondering' }, warnings: ['w'] }
    const { details, unreadable } = read(status) ?? {}
    expect(details).toEqual({ drift, warnings: ['w'] })
    expect(unreadable).toEqual([expect.stringMatching(/^change\.step: .*"waiting"/)])
  })
})

test.each([
  ['no JSON', '{', 'the annotation "status" is no JSON object'],
  ['a list', '[]', 'the annotation "status" is no JSON object'],
  ['nothing', 'null', 'the annotation "status" is no JSON object'],
])('a status that is %s is said to be so', (_, text, complaint) => {
  expect(read(text)).toEqual({
    state: 'Enforcing',
    ruleset: 'unknown',
    message: '',
    details: {},
    unreadable: [complaint],
  })
})

test('a status that is missing is said to be so', () => {
  expect(readStatus({ 'node-firewall.io/state': 'Off' })?.unreadable).toEqual([
    'the annotation "status" is missing',
  ])
})
