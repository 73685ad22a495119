import { parseArgs } from 'node:util'
import { createCleanup } from './demo-parts/cleanup.ts'
import { playHints } from './demo-parts/hints.ts'
import { createReport } from './demo-parts/report.ts'
import { setStage } from './demo-parts/stage.ts'
import { tellEnd, tellStory } from './demo-parts/story.ts'

const usage = `usage: scripts/demo [--keep]

Shows the firewall at work on a node made of network namespaces, with real packets. The network of this machine is not
touched. Exit code 0: all was as it should be.

  --keep   leave it running to play with, until Ctrl-C
`

const { values } = parseArgs({
  options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
})
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
// Who reads this has gone, as head does.
process.stdout.on('error', () => stop.abort())

if (values.help === true) console.log(usage)
else process.exitCode = await runDemo(values.keep === true, stop.signal)
// What an interruption left half-way would keep the process alive.
process.exit() // eslint-disable-line unicorn/no-process-exit

/** Runs the demo, and leaves nothing behind; returns the exit code. */
async function runDemo(keep: boolean, interrupted: AbortSignal): Promise<number> {
  const cleanup = await createCleanup()
  const report = createReport((line) => interrupted.aborted || console.log(line))
  let told = false
  const perform = async () => {
    const stage = await setStage(cleanup)
    const agent = await tellStory(stage, report)
    if (keep) report.say(await playHints(stage))
    else await tellEnd(stage, report, agent)
    told = true
    if (keep) await aborted(interrupted)
  }
  try {
    await Promise.race([perform(), aborted(interrupted)])
  } finally {
    await cleanup.run()
  }
  console.log(told ? `\n${report.verdict()}` : '\ninterrupted')
  return told && report.failures() === 0 ? 0 : 1
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
