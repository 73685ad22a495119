import { setTimeout as pause } from 'node:timers/promises'

const patienceMs = 20_000

/** Asks until there is an answer. @throws {Error} when there is none for a long while */
export async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s in vain: ${what}`)
    await pause(1)
  }
}
