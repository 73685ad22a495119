import fc from 'fast-check'
import { expect, test } from 'vitest'
import { logMatchAndTarget, logPrefix } from '../../agent/netfilter/log-text.ts'

test.each([
  ['a name that fits', logPrefix('drop', 'web', 'ssh'), 'node-fw drop web/ssh '],
  ['a rule of no ruleset', logPrefix('reject', undefined, 'default'), 'node-fw reject default '],
  ['a name that just fits', logPrefix('drop', 'worker', 'known-by'), 'node-fw drop worker/known-by '],
  ['one character more', logPrefix('drop', 'worker', 'known-bad'), 'node-fw drop known-bad~c210 '],
  [
    'a long name',
    logPrefix('audit', 'worker', 'node ports from the private network only'),
    'node-fw audit node port~6ebe ',
  ],
])('%s', (_, prefix, expected) => {
  expect(prefix).toBe(expected)
})

test('the whole of it', () => {
  expect(logMatchAndTarget('limit', 'web', 'ssh')).toBe(
    '-m limit --limit 10/sec --limit-burst 20 -j LOG --log-prefix "node-fw limit web/ssh " --log-level 6',
  )
})

const ruleset = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
const rule = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/)
const verdict = fc.constantFrom('accept', 'drop', 'reject', 'audit', 'limit')

test('it fits, ends with a space, and says the verdict and where the name begins', () => {
  fc.assert(
    fc.property(verdict, fc.option(ruleset, { nil: undefined }), rule, (verdict, ruleset, rule) => {
      const prefix = logPrefix(verdict, ruleset, rule)
      expect(prefix.length).toBeLessThanOrEqual(29)
      const [, name = '', cut] = /^node-fw [a-z]+ (.+?)(?:~[0-9a-f]{4})? $/.exec(prefix) ?? []
      expect(name).not.toBe('')
      const whole = ruleset === undefined ? rule : `${ruleset}/${rule}`
      if (prefix.includes('~')) expect(rule.startsWith(name)).toBe(true)
      else expect([name, cut]).toEqual([whole, undefined])
    }),
  )
})

test('rules whose names begin alike can be told apart', () => {
  const names = ['node ports from the office', 'node ports from the bastion', 'node ports']
  const prefixes = ['web', 'db'].flatMap((ruleset) => names.map((name) => logPrefix('drop', ruleset, name)))
  expect(new Set(prefixes).size).toBe(prefixes.length)
})
