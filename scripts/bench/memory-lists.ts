import { mkdir, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Outcome } from '../../test/sandbox/protocol.ts'
import { clientAddress } from '../../test/sandbox/sandbox.ts'
import { startAgent } from './agent-process.ts'
import type { AgentProcess } from './agent-process.ts'
import { waitForOutcome } from './in-force.ts'
import { hintBackend } from './kubelet.ts'
import { spreadNetworks } from './networks.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { togglePort } from './rulesets.ts'
import { describeSamples, formatNumber, median } from './statistics.ts'
import { withSandbox } from './workshop.ts'
import type { Workshop } from './workshop.ts'

const largeList = 100_000
const smallList = 1_000
const edits = 10

/** Verify passes, one each 10 s: V8 gives memory back only to a process that rests in between. */
const restingPasses = 6

/**
 * An agent whose allow list is a data file: the time from a change of the file to the first connection that meets the
 * new set, and the memory of the process before, while and after a long list is in force.
 */
export async function measureLists(workshop: Workshop): Promise<Row[]> {
  return withSandbox(async ({ node, internet }) => {
    await node.listen('tcp', togglePort)
    await hintBackend(node, 'nft')
    const list = await createList(join(await mkdtemp(join(workshop.folder, 'lists-')), 'rules'))
    await list.edit(smallList, false)
    const agent = await startAgent({
      program: workshop.program,
      rules: list.folder,
      targetPid: node.pid,
      verifySchedule: '*/10 * * * * *',
    })
    const waitFor = async (outcome: Outcome) => waitForOutcome(internet, outcome, ['ipv4'])
    let isListed = false
    /** Edits the list back and forth, and resolves to the ms that each edit took to be in force. */
    const editTimes = async (count: number): Promise<number[]> => {
      const samples: number[] = []
      for (let edit = 0; edit < edits; edit += 1) {
        isListed = !isListed
        const editedAt = await list.edit(count, isListed)
        samples.push((await waitFor(isListed ? 'accepted' : 'refused')) - editedAt)
        await pause(500)
      }
      return samples
    }
    try {
      await waitFor('refused')
      await rest(agent)
      const before = await readMemory(agent.pid)
      const small = await editTimes(smallList)

      await resetPeak(agent.pid)
      isListed = true
      await list.edit(largeList, isListed)
      await waitFor('accepted')
      const loading = await readMemory(agent.pid)
      await rest(agent)
      const loaded = await readMemory(agent.pid)

      await resetPeak(agent.pid)
      const large = await editTimes(largeList)
      await rest(agent)
      const changing = await readMemory(agent.pid)

      await list.edit(smallList, false)
      await waitFor('refused')
      await rest(agent)
      const unloaded = await readMemory(agent.pid)
      return judge({ before, loading, loaded, changing, unloaded }, { small, large })
    } finally {
      await agent.stop()
    }
  })
}

type Memory = { readonly resident: number; readonly peak: number }
type Stage = 'before' | 'loading' | 'loaded' | 'changing' | 'unloaded'

function judge(
  memory: Readonly<Record<Stage, Memory>>,
  times: { readonly small: readonly number[]; readonly large: readonly number[] },
): Row[] {
  for (const [stage, { resident, peak }] of Object.entries(memory)) {
    console.log(`  ${stage}: ${formatNumber(resident)} MB resident, ${formatNumber(peak)} MB at its peak`)
  }
  const [few, many] = [smallList, largeList].map((count) => `list of ${count.toLocaleString('en')} networks`)
  for (const [name, samples] of [
    [few, times.small],
    [many, times.large],
  ] as const) {
    console.log(`  edit of a ${name} to in force: ${describeSamples(samples)}`)
  }
  const { before, loading, loaded, changing, unloaded } = memory
  const resident = (stage: Memory) => `${formatNumber(stage.resident)} MB`
  return [
    { what: `memory, ${few}`, measured: resident(before) },
    atMost(`memory at the peak, loading a ${many}`, loading.peak, 150, 'MB'),
    { what: `memory, ${many}`, measured: `${resident(loaded)} after ${restingPasses} verify passes` },
    atMost(`memory at the peak, ${edits} edits of a ${many}`, changing.peak, 150, 'MB'),
    { what: `memory, ${few} again`, measured: `${resident(unloaded)} after ${restingPasses} verify passes` },
    { what: `edit to in force, ${few} in a file`, measured: `${formatNumber(median(times.small))} ms` },
    { what: `edit to in force, ${many} in a file`, measured: `${formatNumber(median(times.large))} ms` },
  ]
}

type List = {
  readonly folder: string
  /** Replaces the file; returns the moment just before the new one is to be seen, see performance.now(). */
  edit(count: number, isListed: boolean): Promise<number>
}

/** A folder with a ruleset and its list, which a ConfigMap would be too small for: it is that of a plain host. */
async function createList(folder: string): Promise<List> {
  await mkdir(folder)
  await writeFile(join(folder, 'bench.yaml'), ruleset)
  return {
    folder,
    async edit(count, isListed) {
      const last = isListed ? `${clientAddress.internet.ipv4}/32` : '198.19.0.1/32'
      const text = [...spreadNetworks(count - 1), last].map((network) => `${network}\n`).join('')
      await writeFile(join(folder, '.list.txt'), text)
      const editedAt = performance.now()
      await rename(join(folder, '.list.txt'), join(folder, 'list.txt'))
      return editedAt
    },
  }
}

const ruleset = `apiVersion: node-firewall.io/v1
kind: Ruleset
metadata: { name: bench }
spec:
  interfaces: { external: [eth0] }
  defaults: { ingress: reject }
  sets: { clients: { file: list.txt } }
  rules:
    - { name: clients, action: accept, protocol: tcp, ports: [${togglePort}], from: [clients] }
`

async function rest(agent: AgentProcess): Promise<void> {
  const last = agent.passes() + restingPasses
  while (agent.passes() < last) await pause(500)
}

/** Makes the peak what is resident now, see proc_pid_clear_refs(5). */
async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

/** In MB of 10^6 bytes. */
async function readMemory(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  const read = (key: string) =>
    (Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) * 1024) / 1e6
  return { resident: read('VmRSS'), peak: read('VmHWM') }
}
