import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { openNetwork } from '../../agent/daemon/node.ts'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import type { Desired } from '../../agent/netfilter/chain.ts'
import { clearBackend } from '../../agent/netfilter/clear.ts'
import { compareTable } from '../../agent/netfilter/compare.ts'
import { restoreText } from '../../agent/netfilter/restore-text.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'
import { program } from '../../agent/netfilter/tables.ts'
import type { Tables } from '../../agent/netfilter/tables.ts'
import { judgeApply } from './apply-rows.ts'
import type { ApplySamples } from './apply-rows.ts'
import { timeBare } from './bare.ts'
import { compileText } from './compiled.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { scriptText } from './script.ts'
import { withSandbox } from './workshop.ts'
import type { Workshop } from './workshop.ts'

const sizes = [
  { rules: 12, pairs: 25, scripts: 5 },
  { rules: 100, pairs: 25, scripts: 3 },
  { rules: 1_000, pairs: 15, scripts: 3 },
  { rules: 10_000, pairs: 5, scripts: 0 },
]

/** The kernel frees what a commit has replaced some ms later, and lets the next commit wait for that. */
const settlingMs = 60

/** What is in the table before: nothing of ours, or as many rules of which one is another. */
const situations = ['first', 'replacing'] as const

/**
 * One family's commit: by the agent, from a compiled chain and a table that was read to the end of the restore
 * command; by the restore command alone, given the same text; by a shell script that starts one iptables a rule.
 */
export async function measureApply({ folder }: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const size of sizes) {
      for (const situation of situations) {
        const samples = await withSandbox(async ({ node }) => {
          const { tables } = await openNetwork(node.pid, backend)
          const before =
            situation === 'first' ? undefined : compileText(namedRules(size.rules, false), 'ipv4')
          const after = compileText(namedRules(size.rules, true), 'ipv4')
          const file = join(folder, 'rules')
          return measureSize({ targetPid: node.pid, tables, backend, before, after, file }, size)
        })
        rows.push(...judgeApply({ rules: size.rules, situation, backend }, samples))
      }
    }
  }
  return rows
}

type Bench = {
  readonly targetPid: number
  readonly tables: Tables
  readonly backend: Backend
  readonly before: Desired | undefined
  readonly after: Desired
  /** For the input of commands. */
  readonly file: string
}

async function measureSize(bench: Bench, size: (typeof sizes)[number]): Promise<ApplySamples> {
  const { targetPid, tables, backend, before, after, file } = bench
  const agent: number[] = []
  const bare: number[] = []
  const script: number[] = []
  for (let pair = 0; pair < size.pairs; pair += 1) {
    const table = await prepare(bench)
    const startedAt = performance.now()
    await tables.restore(backend, 'ipv4', textOf(after, table))
    agent.push(performance.now() - startedAt)

    const input = textOf(after, await prepare(bench))
    const restore = { program: program(backend, 'ipv4', 'restore'), args: ['--noflush'] }
    bare.push(timeBare(targetPid, { ...restore, input, file }))
  }
  for (let round = 0; round < size.scripts; round += 1) {
    await prepare(bench)
    const input = scriptText(backend, 'ipv4', after, before !== undefined)
    script.push(timeBare(targetPid, { program: 'sh', args: [], input, file }))
  }
  return { agent, bare, script }
}

/** Brings the table to what it is before each measurement, and reads it. */
async function prepare({ tables, backend, before }: Bench): Promise<SavedTable> {
  if (before === undefined) await clearBackend(tables, backend)
  else await tables.restore(backend, 'ipv4', textOf(before, await tables.read(backend, 'ipv4')))
  await pause(settlingMs)
  return tables.read(backend, 'ipv4')
}

function textOf(desired: Desired, table: SavedTable): string {
  return restoreText(desired, table, compareTable(desired, table))
}
