import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Cleanup = {
  /** A folder that is gone at the end, and that all temporary files of this process go to. */
  readonly folder: string
  /** Takes note of something that has to be ended once it has started. */
  end<T>(starting: Promise<T>, how: (started: T) => Promise<unknown>): Promise<T>
  /** Ends all of it, the last first. */
  run(): Promise<void>
}

/** Notes what has to be undone, however the process ends. */
export async function createCleanup(): Promise<Cleanup> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-demo-'))
  process.env['TMPDIR'] = folder
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const steps: (() => Promise<unknown>)[] = [async () => rm(folder, { recursive: true, force: true })]
  return {
    folder,
    async end(starting, how) {
      // What could not be started has nothing to be ended, and whoever waits for it hears why.
      steps.push(async () => starting.then(how, () => {}))
      return starting
    },
    async run() {
      for (const step of steps.toReversed()) await step()
    },
  }
}
