import { execFileSync } from 'node:child_process'
import type { Generation, Journal } from '../../agent/confirm/generation.ts'
import { messageOf } from '../../agent/errors.ts'
import { openStateFolder } from '../../agent/host/state-folder.ts'

/** A generation that its number says all of. */
export function generation(number: number, bytes = 200_000): Generation {
  const file = Buffer.alloc(bytes, `generation ${number}\n`)
  return {
    hash: String(number),
    files: [
      { path: '/etc/node-firewall/rules/a.yaml', bytes: file.subarray(0, bytes / 2) },
      { path: '/etc/node-firewall/rules/list.txt', kind: 'data', bytes: file.subarray(bytes / 2) },
    ],
    labels: { pool: `pool-${number}` },
    confirmedAt: new Date(number * 1000).toISOString(),
  }
}

/** The trial and the quarantine agree on the number. */
export function journal(number: number): Journal {
  const at = new Date(number * 1000).toISOString()
  return {
    trial: { hash: `trial ${number}`, passedBefore: ['lease'], startedAt: at },
    quarantined: [{ hash: `quarantined ${number}`, text: 'abc', probe: 'lease', reason: 'not renewed', at }],
  }
}

/**
 * As a program: `FOLDER forever FIRST` saves one number after the other and prints each; `FOLDER STEP...` takes the
 * steps `save:NUMBER:BYTES`, `read` and `run:SHELL COMMAND`, and prints what came of each.
 */
async function main([path = '', ...steps]: readonly string[]): Promise<void> {
  const folder = openStateFolder(path)
  if (steps[0] === 'forever') {
    for (let number = Number(steps[1]); ; number += 1) {
      await folder.saveLastGood(generation(number))
      await folder.saveJournal(journal(number))
      process.stdout.write(`${number}\n`)
    }
  }
  const take = async (step: string): Promise<unknown> => {
    const [kind, argument, bytes] = step.split(':')
    if (kind === 'run') return execFileSync('sh', ['-c', argument ?? ''], { cwd: path, encoding: 'utf8' })
    if (kind === 'save') return folder.saveLastGood(generation(Number(argument), Number(bytes)))
    const { lastGood, problems } = await folder.read()
    return { hash: lastGood?.hash, problems }
  }
  for (const step of steps) {
    const result = await take(step).catch((error: unknown) => ({ error: messageOf(error) }))
    process.stdout.write(`${JSON.stringify(result ?? 'saved')}\n`)
  }
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2))
