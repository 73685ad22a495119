import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Progress } from '../../agent/confirm/trials.ts'
import { createConfirmed } from '../../agent/daemon/confirmed.ts'
import { bootFile } from '../../agent/host/boot-restore.ts'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { noMemory } from '../../agent/pass.ts'
import type { Memory } from '../../agent/pass.ts'
import { createLog } from '../../agent/telemetry/log.ts'
import { drop, policyOf } from '../policy/policy-of.ts'

const quarantined = { hash: 'b', text: '', probe: 'lease', reason: 'no answer', at: '' }

/** A pass that has left rules in force, while others of this progress are not. */
function passWith(progress: Progress | undefined): Memory {
  const policy = policyOf({ ingress: [drop('all')] })
  const seen = { ruleset: 'a', rules: 1, positions: {}, sets: 0, unlogged: 0, setSizes: new Map() }
  const ipv4 = {
    seen: { ...seen, asWanted: true },
    desired: compilePolicy(policy, 'ipv4'),
    wrote: false,
    drift: [],
    notes: [],
    moves: [],
    left: [],
  }
  const decision = { wanted: { kind: 'policy' as const, policy }, problems: [] }
  return { ...noMemory, decision, backend: 'nft', families: { ipv4 }, ...(progress && { progress }) }
}

test.each<[string, Progress | undefined, { readonly isKept: boolean; readonly hasTaint: boolean }]>([
  ['is confirmed', undefined, { isKept: true, hasTaint: false }],
  ['is being tried', confirming(), { isKept: false, hasTaint: true }],
  ['stands while another change waits', waiting('wait'), { isKept: true, hasTaint: true }],
  ['stands while another change is stopped', waiting('stopped'), { isKept: true, hasTaint: true }],
  [
    'stands after a rollback',
    { kind: 'rolled back', hash: 'b', quarantined },
    { isKept: true, hasTaint: true },
  ],
])(
  'what %s: whether the start of the machine restores it, and the taint stays',
  async (_, progress, wanted) => {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-confirmed-'))
    onTestFinished(async () => rm(folder, { recursive: true }))
    let hasTaint = true
    const confirmed = createConfirmed({
      log: createLog('silent'),
      boot: { stateDir: folder, unitDir: join(folder, 'units'), targetPid: 'self' },
      removeTaint: async () => !(hasTaint = false),
    })
    confirmed.note(passWith(progress))
    await confirmed.settled()
    const text = await readFile(join(folder, bootFile), 'utf8').catch(() => '')
    expect({ isKept: text.includes('#rules ipv4'), hasTaint }).toEqual(wanted)
  },
)

function confirming(): Progress {
  return { kind: 'confirming', hash: 'a', isInForce: true, probes: [] }
}

function waiting(kind: 'wait' | 'stopped'): Progress {
  return { kind, hash: 'b', message: 'later' }
}
