import * as fc from 'fast-check'
import type { Progress } from '../../agent/confirm/trials.ts'
import type { FamilyOutcome } from '../../agent/netfilter/keep-family.ts'
import type { Knowledge } from '../../agent/status/knowledge.ts'

const text = fc.string({ maxLength: 30 })
const texts = fc.array(text, { maxLength: 12 })
const hash = fc.constantFrom('none', '0123456789ab', 'ba9876543210')
const time = fc
  .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
  .map((date) => date.toISOString())
const count = fc.nat(100_000)

const position = fc.record(
  {
    jumps: fc.array(fc.constant('-j node-firewall'), { maxLength: 2 }),
    precededBy: fc.record({ rule: text, movable: fc.boolean() }),
    policy: fc.constantFrom('ACCEPT', 'DROP'),
  },
  { requiredKeys: ['jumps', 'policy'] },
)

const outcome: fc.Arbitrary<FamilyOutcome> = fc.record(
  {
    seen: fc.record({
      asWanted: fc.boolean(),
      ruleset: hash,
      rules: count,
      positions: fc.record({ INPUT: position, FORWARD: position }, { requiredKeys: [] }),
      sets: fc.nat(3),
      unlogged: count,
      setSizes: fc.constant(new Map()),
    }),
    wrote: fc.boolean(),
    drift: fc.constant([]),
    notes: texts,
    moves: fc.constant([]),
    left: fc.array(
      fc.record({ kind: fc.constant('chain-changed' as const), message: text, lines: texts, where: text }),
    ),
    error: text.map((message) => new Error(message)),
  },
  { requiredKeys: ['wrote', 'drift', 'notes', 'moves', 'left'] },
)

const progress: fc.Arbitrary<Progress> = fc.oneof(
  fc.record({ kind: fc.constantFrom('wait' as const, 'stopped' as const), hash, message: text }),
  fc.record({ kind: fc.constant('confirming' as const), isInForce: fc.boolean(), hash, probes: texts }),
  fc.record({
    kind: fc.constant('rolled back' as const),
    hash,
    quarantined: fc.record({ hash, text, probe: text, reason: text, at: time }),
  }),
)

const port = fc.integer({ min: 1, max: 65_535 })
const facts = fc.record({
  value: fc.option(
    fc.record({
      external: texts,
      interfaces: texts,
      addresses: fc.constant([]),
      ports: fc.record({ kubelet: port, apiServer: port, etcd: port, etcdPeer: port }, { requiredKeys: [] }),
    }),
    { nil: undefined },
  ),
  warnings: texts,
})

const problem = fc.record({
  path: text,
  line: count,
  column: count,
  severity: fc.constantFrom('error' as const, 'warning' as const),
  message: text,
})

const deniedFlow = fc.record(
  {
    verdict: fc.constantFrom('drop' as const, 'reject' as const, 'audit' as const, 'limit' as const),
    rule: text,
    protocol: text,
    from: text,
    to: text,
    port,
    packets: count,
    last: time,
  },
  { requiredKeys: ['verdict', 'rule', 'protocol', 'from', 'to', 'packets', 'last'] },
)

/** What a pass may know at its end, likely or not. */
export const arbitraryKnowledge: fc.Arbitrary<Knowledge> = fc.record(
  {
    decision: fc.record(
      {
        wanted: fc.constantFrom({ kind: 'nothing' as const }, { kind: 'whatever is there' as const }),
        problems: fc.array(problem, { maxLength: 8 }),
        obstacle: text,
      },
      { requiredKeys: ['wanted', 'problems'] },
    ),
    facts,
    backend: fc.constantFrom('nft' as const, 'legacy' as const),
    families: fc.record({ ipv4: outcome, ipv6: outcome }, { requiredKeys: [] }),
    otherRules: texts,
    drift: fc.record(
      {
        count,
        byKind: fc.dictionary(fc.constantFrom('chain-changed', 'jump-missing'), count, {
          noNullPrototype: true,
        }),
        last: fc.record(
          { at: time, message: text, healed: fc.boolean(), by: text },
          { requiredKeys: ['at', 'message', 'healed'] },
        ),
      },
      { requiredKeys: ['count', 'byKind'] },
    ),
    progress,
    overridden: fc.record(
      {
        override: fc.record({ mode: fc.constantFrom('off' as const, 'audit' as const), by: text }),
        problems: texts,
      },
      { requiredKeys: ['problems'] },
    ),
    keptProblems: texts,
    cut: fc.record({ at: time, cut: count, failed: count, notes: texts }),
    logging: fc.record({
      logging: fc.record(
        { by: fc.constantFrom('nflog' as const, 'kernel log' as const, 'nothing' as const), note: text },
        { requiredKeys: ['by'] },
      ),
      denied: fc.record({ since: time, packets: count, flows: fc.array(deniedFlow, { maxLength: 5 }) }),
    }),
    appliedAt: time,
    verifiedAt: time,
    failure: text.map((message) => new Error(message)),
  },
  { requiredKeys: ['families', 'otherRules', 'drift'] },
)
