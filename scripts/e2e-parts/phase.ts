import { setTimeout as pause } from 'node:timers/promises'
import type { Site } from './site.ts'

/** A part of the run: it rejects when something is not as it should be. */
export type Phase = {
  readonly title: string
  /** Returns why nothing was done, if so. */
  readonly run: (stage: Stage) => Promise<string | undefined>
}

export type Stage = {
  readonly site: Site
  readonly tell: (line: string) => void
  readonly signal: AbortSignal
  /** How long something may take that takes a minute as a rule, ms. */
  readonly patienceMs: number
  readonly pauseMs: number
  /** What was on the nodes before anything was deployed, by node. */
  readonly before: Map<string, string>
}

/** Plays phases in order, and stops at the first that fails; returns whether all went well. */
export async function play(phases: readonly Phase[], stage: Stage): Promise<boolean> {
  const { tell, signal } = stage
  const skipped: string[] = []
  for (const [index, { title, run }] of phases.entries()) {
    tell(`== ${index + 1}/${phases.length} ${title}`)
    try {
      signal.throwIfAborted()
      const why = await run(stage)
      if (why !== undefined) skipped.push(`SKIPPED: ${title}: ${why}`)
      tell(why === undefined ? '   ok' : `   SKIPPED: ${why}`)
    } catch (error) {
      tell(
        signal.aborted
          ? '   interrupted'
          : `   FAILED: ${error instanceof Error ? error.message : String(error)}`,
      )
      return false
    }
  }
  for (const line of skipped) tell(line)
  return true
}

/** Asks until the answer is undefined; what it says until then is what is wrong. @throws {Error} in time */
export async function until(stage: Stage, ask: () => Promise<string | undefined>): Promise<void> {
  const { patienceMs, pauseMs, signal } = stage
  const deadline = performance.now() + patienceMs
  for (;;) {
    const wrong = await ask()
    if (wrong === undefined) return
    if (performance.now() > deadline) throw new Error(`after ${patienceMs / 1000} s still: ${wrong}`)
    await pause(pauseMs, undefined, { signal })
  }
}

/** Goes through the nodes, and says for the first one with something wrong what it is. */
export async function eachNode(
  { site }: Stage,
  ask: (node: Awaited<ReturnType<Site['nodes']>>[number]) => Promise<string | undefined> | string | undefined,
): Promise<string | undefined> {
  for (const node of await site.nodes()) {
    const wrong = await ask(node)
    if (wrong !== undefined) return `${node.name}: ${wrong}`
  }
  return undefined
}
