import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { usableBackends } from '../sandbox/backends.ts'

const demo = join(import.meta.dirname, '..', '..', 'scripts', 'demo.ts')
const hasNft = (await usableBackends()).includes('nft')

describe.runIf(hasNft)('the demo', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-test-'))
  })
  afterEach(async () => rm(folder, { recursive: true, force: true }))

  it('finds all as it should be, and leaves nothing behind', async () => {
    const { output, code } = await start(folder).ended
    expect({ output, code }).toMatchObject({ code: 0 })
    const text = output.replaceAll(/ +/g, ' ')
    expect(text).toContain('SSH tcp 22 open open open\n')
    expect(text).toContain('SSH tcp 22 refused refused refused\n')
    expect(text).toMatch(/SSH tcp 22 open open refused\n \(the other \d+ rows: as before\)/)
    expect(text).toMatch(/iptables-nft -F node-firewall: as before \d+ ms after/)
    expect(text).toContain('The status: ipv4: chain node-firewall is empty')
    expect(text).toContain('All of it was as it should be.')
    expect(text).not.toContain('\u001B[')
    expect(await leftovers(folder)).toEqual([])
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'leaves nothing behind when a terminal sends %s',
    async (signal) => {
      const { printed, interrupt, ended } = start(folder)
      await printed('The agent starts')
      interrupt(signal)
      const { output, code } = await ended
      expect({ output, code }).toMatchObject({ code: 1 })
      expect(output).toContain('interrupted')
      expect(await leftovers(folder)).toEqual([])
    },
  )

  it('keeps running to play with when asked to, and leaves nothing behind then either', async () => {
    const { printed, interrupt, ended } = start(folder, '--keep')
    await printed('runs until you press Ctrl-C')
    expect(await leftovers(folder)).not.toEqual([])
    interrupt('SIGINT')
    const { output, code } = await ended
    expect({ output, code }).toMatchObject({ code: 0 })
    expect(await leftovers(folder)).toEqual([])
  })
})

/** Everything that the demo starts has the folder in its environment, by which its traces are found. */
function start(folder: string, ...args: string[]) {
  const child = spawn(process.execPath, [demo, ...args], {
    env: { ...process.env, TMPDIR: folder },
    // A process group, as a terminal would make it one.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)))
  const ended = once(child, 'close').then(() => ({ output, code: child.exitCode }))
  const printed = async (text: string) => {
    const signal = AbortSignal.timeout(30_000)
    while (!output.includes(text)) await once(child.stdout, 'data', { signal })
  }
  const interrupt = (signal: NodeJS.Signals) => process.kill(-(child.pid ?? Number.NaN), signal)
  return { ended, printed, interrupt }
}

async function leftovers(folder: string): Promise<string[]> {
  return [...(await readdir(folder)), ...(await processesOf(folder))]
}

async function processesOf(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = pids.map(async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    return environment.includes(folder)
      ? [await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => pid)]
      : []
  })
  return (await Promise.all(found)).flat()
}
