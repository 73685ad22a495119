import { rm } from 'node:fs/promises'
import { describeTrouble, openSite, tidyUp } from './e2e-parts/ends.ts'
import { imageOf } from './e2e-parts/kubectl-site.ts'
import { createKubectl } from './e2e-parts/kubectl.ts'
import { readOptions, usage } from './e2e-parts/options.ts'
import type { Options } from './e2e-parts/options.ts'
import { makeScratch, writeOverlay } from './e2e-parts/overlay.ts'
import { play } from './e2e-parts/phase.ts'
import { phases } from './e2e-parts/phases.ts'
import { ownNamespace } from './e2e-parts/props.ts'

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())

const given = readOptions(process.argv.slice(2))
if (given === undefined) console.log(usage)
else if ('refused' in given) refuse(given.refused)
else {
  process.exitCode = await run(given, stop.signal).catch((error: unknown) => {
    console.error(`e2e: ${messageOf(error)}`)
    return 1
  })
}

function refuse(why: string): number {
  console.error(`e2e: ${why}`)
  process.exitCode = 2
  return 2
}

/** Runs all phases, and leaves the cluster as it was; returns the exit code. */
async function run(given: Options, signal: AbortSignal): Promise<number> {
  const { context } = given
  const kubectl = createKubectl(context, signal)
  const spaces = ['node-firewall', ownNamespace]
  const occupied = await kubectl(['get', 'namespace', ...spaces, '--ignore-not-found', '--output', 'name'])
  if (occupied !== '')
    return refuse(`the cluster of ${context} has ${occupied.replaceAll('\n', ', ')} already`)

  const scratch = await makeScratch()
  // What tidies up must go on when the rest is told to stop.
  const tidier = createKubectl(context, new AbortController().signal)
  let isWell = false
  try {
    const image =
      given.image ?? (await imageOf(kubectl, await writeOverlay(scratch, given.overlay, undefined)))
    console.log(`e2e: ${given.overlay} with ${image} in the cluster of the context ${context}`)
    isWell = await perform({ ...given, image })
    if (!isWell) await describeTrouble(tidier)
    if (isWell || !given.keep) await tidyUp({ options: { ...given, image }, kubectl: tidier, scratch })
    else console.log(`e2e: all is left as it is; to end it: ${endings(context)}`)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  console.log(isWell ? 'All of it was as it should be.' : 'Not all was as it should be.')
  return isWell ? 0 : 1

  async function perform(options: Options & { readonly image: string }): Promise<boolean> {
    try {
      const site = await openSite({ options, kubectl, scratch, signal })
      // A node spares the API server: after some changes in a row its annotations come minutes late.
      const times = { patienceMs: 360_000, pauseMs: 1_000 }
      return await play(phases, { site, tell: print, signal, ...times, before: new Map() })
    } catch (error) {
      console.error(signal.aborted ? 'e2e: interrupted' : `e2e: ${messageOf(error)}`)
      return false
    }
  }
}

function print(line: string): void {
  console.log(line)
}

function endings(context: string): string {
  const kubectl = `kubectl --context ${context}`
  return `${kubectl} apply -k manifests/uninstall, with the image that is there; ${kubectl} delete namespace ${ownNamespace}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
