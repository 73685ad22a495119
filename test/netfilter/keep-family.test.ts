import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import type { Desired } from '../../agent/netfilter/chain.ts'
import { jumpRule } from '../../agent/netfilter/chain.ts'
import { noSets } from '../../agent/netfilter/ipset-read.ts'
import { keepFamily } from '../../agent/netfilter/keep-family.ts'
import type { FamilyOutcome } from '../../agent/netfilter/keep-family.ts'
import { UnreadableTableError, emptyTable } from '../../agent/netfilter/saved-table.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'
import { drop, policyOf } from '../policy/policy-of.ts'

const policy = policyOf({ ingress: [drop('all')] })
const whole = tableOf(compilePolicy(policy, 'ipv4'))

/** A pass over a kernel that holds a table, or one that cannot be read; what is written is the whole of it. */
async function pass(
  last: FamilyOutcome | undefined,
  held: SavedTable | undefined,
  mayWrite = async (steps: string[]): Promise<void> => void steps.push('may write'),
  /** What the kernel holds after a commit; else what was wanted. */
  kernel: { readonly committed?: SavedTable | 'unreadable' } = {},
): Promise<FamilyOutcome & { readonly steps: readonly string[] }> {
  const steps: string[] = []
  let table = held
  const outcome = await keepFamily(last, {
    tables: {
      async read() {
        if (table === undefined)
          throw new UnreadableTableError('reading the filter table: it ends before COMMIT')
        return table
      },
      async restore() {
        steps.push('rules')
        const { committed = whole } = kernel
        table = committed === 'unreadable' ? undefined : committed
        return []
      },
    },
    ipsets: {
      read: async () => noSets,
      async prepare() {
        steps.push('sets')
        return true
      },
      destroyUnused: async () => ({ destroyed: [], inUse: [] }),
    },
    backend: 'nft',
    family: 'ipv4',
    wanted: { kind: 'policy', policy },
    rewrite: false,
    looksCloser: false,
    logTarget: 'nflog',
    dryRun: false,
    mayWrite: async () => mayWrite(steps),
    now: 0,
  })
  return { ...outcome, steps }
}

test('nothing is written before it may be, and what is as it should be waits for nobody', async () => {
  const released = Promise.withResolvers<void>()
  let stepsBefore: readonly string[] | undefined
  const writing = pass(undefined, emptyTable, async (steps) => {
    stepsBefore = steps
    await released.promise
  })
  await setImmediate()
  expect(stepsBefore).toEqual([])
  released.resolve()
  expect(await writing).toMatchObject({ wrote: true, steps: ['rules'] })
  expect(await pass(undefined, emptyTable)).toMatchObject({ steps: ['may write', 'rules'] })
  expect(await pass(undefined, whole, async () => new Promise(() => {}))).toMatchObject({
    wrote: false,
    steps: [],
  })
})

test('what was changed while the table could not be read is drift', async () => {
  const first = await pass(undefined, whole)
  expect(first).toMatchObject({ wrote: false, drift: [], seen: { asWanted: true } })
  const blind = await pass(await pass(first, undefined), undefined)
  expect(blind).toMatchObject({ wrote: false, drift: [], error: expect.any(UnreadableTableError) })
  expect(blind.seen).toBeUndefined()
  const healed = await pass(blind, emptyTable)
  expect(healed).toMatchObject({ wrote: true, seen: { asWanted: true } })
  expect(healed.drift).toContainEqual(expect.objectContaining({ kind: 'chain-missing', healed: true }))
})

test('an agent that could not read anything at its start finds no drift then', async () => {
  const blind = await pass(undefined, undefined)
  expect(await pass(blind, emptyTable)).toMatchObject({ wrote: true, drift: [] })
})

test.each([
  ['cannot be read', 'unreadable'],
  ['is something else', emptyTable],
] as const)(
  'a commit after which the table %s may hold all the same; none was made where nothing could be read before',
  async (_, committed) => {
    const outcome = await pass(undefined, emptyTable, undefined, { committed })
    expect(outcome).toMatchObject({ wrote: false, mayHold: true, steps: ['may write', 'rules'] })
    expect(await pass(undefined, undefined)).not.toHaveProperty('mayHold')
  },
)

function tableOf({ chains, jumps }: Desired): SavedTable {
  const saved = (policy: string, texts: readonly string[]) => ({
    policy,
    rules: texts.map((text) => ({ text, counters: '[0:0]' })),
  })
  const bases = Object.entries(jumps).map(
    ([base, chain]) => [base, saved('ACCEPT', [jumpRule(chain)])] as const,
  )
  return new Map([...bases, ...chains.map(({ name, rules }) => [name, saved('-', rules)] as const)])
}
