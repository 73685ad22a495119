import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logMatchAndTarget, logPrefix, parseLogPrefix } from '../../agent/netfilter/log-text.ts'
import type { LogName } from '../../agent/netfilter/log-text.ts'

const named = (verdict: LogName['verdict'], ruleset: string | undefined, rule: string): LogName => {
  return { verdict, rule, ...(ruleset === undefined ? {} : { ruleset }) }
}
const long = named('audit', 'worker', 'node ports from the private network only')
const longer = named('drop', 'worker', 'node ports from the private network only, and others')

test.each([
  ['a name that fits', 'kernel', named('drop', 'web', 'ssh'), 'node-fw drop web/ssh '],
  ['a rule of no ruleset', 'kernel', named('reject', undefined, 'default'), 'node-fw reject default '],
  ['a name that just fits', 'kernel', named('drop', 'worker', 'known-by'), 'node-fw drop worker/known-by '],
  ['one character more', 'kernel', named('drop', 'worker', 'known-bad'), 'node-fw drop known-bad~c210 '],
  ['a long name', 'kernel', long, 'node-fw audit node port~6ebe '],
  ['NFLOG has more room', 'nflog', long, 'node-fw audit worker/node ports from the private network only'],
  ['though not for all', 'nflog', longer, 'node-fw drop node ports from the private network only, and~1448'],
] as const)('%s', (_, target, name, expected) => {
  expect(logPrefix(target, name)).toBe(expected)
})

test.each([
  [
    'kernel',
    '-m limit --limit 10/sec --limit-burst 20 -j LOG --log-prefix "node-fw limit web/ssh " --log-level 6',
  ],
  [
    'nflog',
    '-m limit --limit 10/sec --limit-burst 20 -j NFLOG --nflog-prefix "node-fw limit web/ssh" --nflog-group 10268',
  ],
] as const)('the whole of it: %s', (target, expected) => {
  expect(logMatchAndTarget(target, named('limit', 'web', 'ssh'))).toBe(expected)
})

const ruleset = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
const rule = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/)
const verdict = fc.constantFrom('accept', 'drop', 'reject', 'audit', 'limit')
const names = fc.tuple(verdict, fc.option(ruleset, { nil: undefined }), rule).map((parts) => named(...parts))

describe.each([
  ['kernel', 29],
  ['nflog', 63],
] as const)('for %s', (target, longest) => {
  test('it fits, and is read as it was meant, or says where the name begins', () => {
    fc.assert(
      fc.property(names, (name) => {
        const prefix = logPrefix(target, name)
        expect(prefix.length).toBeLessThanOrEqual(longest)
        const read = parseLogPrefix(prefix)
        const [, start = '', hash] = /^(.*?)(~[0-9a-f]{4})?$/.exec(read?.rule ?? '') ?? []
        expect(read?.verdict).toBe(name.verdict)
        if (hash === undefined) expect(read).toEqual(name)
        else expect(name.rule.startsWith(start)).toBe(true)
      }),
    )
  })

  test('rules whose names begin alike can be told apart', () => {
    const alike = ['node ports from the office', 'node ports from the bastion', 'node ports']
    const all = ['web', 'db'].flatMap((of) => alike.map((name) => logPrefix(target, named('drop', of, name))))
    expect(new Set(all).size).toBe(all.length)
  })
})

test.each([
  ['nothing', ''],
  ['of somebody else', 'DROP: '],
  ['with our name and no more', 'node-fw '],
  ['a verdict that is none', 'node-fw eat web/ssh'],
  ['no rule', 'node-fw drop web/'],
  ['two slashes', 'node-fw drop web/ssh/x'],
  ['a control character', 'node-fw drop web/s\u001Bsh'],
  ['a letter that names may not have', 'node-fw drop web/sch\u00F6n'],
  ['something in front', ' node-fw drop web/ssh'],
])('a prefix that is not ours: %s', (_, prefix) => {
  expect(parseLogPrefix(prefix)).toBeUndefined()
})
