import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { watchCommand } from '../../agent/host/watch-command.ts'
import type { MonitorCommand } from '../../agent/host/watch-command.ts'

/** Follows commands of a shell, in this network namespace; what was told so far, and how to wait for more. */
async function follow(scripts: readonly string[], healthyMs: number) {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-watch-'))
  const controller = new AbortController()
  const told: string[] = []
  const commands = scripts.map((script): MonitorCommand => ['sh', '-c', `cd ${folder}; ${script}`])
  const handlers = {
    onLine: (line: string) => void told.push(line),
    onGap: (reason: string, isFailing: boolean) => void told.push(`${reason}${isFailing ? ', failing' : ''}`),
    onSteady: () => void told.push('steady'),
  }
  const watching = watchCommand('self', commands, handlers, controller.signal, healthyMs)
  onTestFinished(async () => {
    controller.abort()
    await watching
    await rm(folder, { recursive: true })
  })
  return told
}

const never = 3_600_000

test('where each of two commands keeps ending, that is told once both had their turn', async () => {
  const told = await follow(['echo no first >&2; exit 1', 'echo no second >&2; exit 1'], never)
  await expect
    .poll(() => told.slice(0, 4), { timeout: 30_000 })
    .toEqual(['no first', 'no second', 'no first, failing', 'no second, failing'])
})

/** Counts its starts in a file. */
const nthStart = 'echo >> starts; n=$(wc -l < starts)'
const goOn = 'exec tail -f /dev/null'

test('what goes on after it failed is steady, and that is told once', async () => {
  const told = await follow(
    [`${nthStart}; [ $n -gt 2 ] || { echo no >&2; exit 1; }; echo runs; ${goOn}`],
    500,
  )
  await expect.poll(() => told, { timeout: 30_000 }).toEqual(['no', 'no, failing', 'runs', 'steady'])
})

test('the end of one that was well is no failure: it is started again, and not the other one', async () => {
  const told = await follow([`${nthStart}; echo start $n; [ $n = 1 ] || ${goOn}; sleep 0.2`, 'echo other'], 1)
  await expect.poll(() => told, { timeout: 30_000 }).toEqual(['start 1', 'it ended', 'start 2'])
})
