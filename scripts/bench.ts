import { mkdtemp } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureApiEdit } from './bench/api-edit.ts'
import { measureApply } from './bench/apply.ts'
import { measureCpu } from './bench/cpu.ts'
import { measureEdit } from './bench/edit.ts'
import { measureEverythingOn } from './bench/everything-on.ts'
import { measureFleet } from './bench/fleet.ts'
import { measureGaps } from './bench/gaps.ts'
import { measureHeal } from './bench/heal.ts'
import { describeMachine } from './bench/machine.ts'
import { measureMemory } from './bench/memory.ts'
import { measurePacketCost } from './bench/packet-cost.ts'
import { measurePass } from './bench/pass.ts'
import type { Row } from './bench/row.ts'
import { formatRows } from './bench/row.ts'
import { measureSets } from './bench/sets.ts'
import { measureStart } from './bench/start.ts'
import type { Workshop } from './bench/workshop.ts'
import { bundle } from './bundle.ts'

/*
 * Measures the agent in a sandbox of network namespaces: `npm run bench [part...]`. Needs root. The exit code says
 * only whether everything could be measured; whether the targets are met is in the table.
 */

const parts: Readonly<Record<string, (workshop: Workshop) => Promise<Row[]>>> = {
  apply: measureApply,
  sets: measureSets,
  packet: measurePacketCost,
  pass: measurePass,
  edit: measureEdit,
  'api-edit': measureApiEdit,
  heal: measureHeal,
  gaps: measureGaps,
  start: measureStart,
  memory: measureMemory,
  cpu: measureCpu,
  everything: measureEverythingOn,
  fleet: measureFleet,
}

const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)
const unknown = asked.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; expected some of ${Object.keys(parts).join(', ')}`)
  process.exitCode = 2
} else if (process.getuid?.() !== 0) {
  console.error('network namespaces need root')
  process.exitCode = 2
} else {
  process.exitCode = await measure(asked)
}

async function measure(names: readonly string[]): Promise<number> {
  const workshop = await openWorkshop()
  for (const line of await describeMachine()) console.log(line)
  const rows: Row[] = []
  let code = 0
  for (const name of names) {
    console.log(`\n${name} (load of the machine: ${loadavg()[0]?.toFixed(1)})`)
    try {
      rows.push(...((await parts[name]?.(workshop)) ?? []))
    } catch (error) {
      console.error(`measuring ${name} failed:`, error)
      rows.push({ what: name, measured: 'could not be measured' })
      code = 1
    }
  }
  console.log(`\n${formatRows(rows)}`)
  return code
}

/** A folder that is gone when this process ends, with the bundle in it. */
async function openWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(1)) // eslint-disable-line unicorn/no-process-exit -- runs the exit handlers
  }
  // Every process that changes rules inherits it: the lock of this machine's own iptables is left alone.
  process.env['XTABLES_LOCKFILE'] = join(folder, 'xtables.lock')
  const program = join(folder, 'bundle', 'node-firewall.js')
  await bundle(program)
  return { folder, program }
}
