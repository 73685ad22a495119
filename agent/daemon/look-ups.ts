import { isExpected } from '../errors.ts'

export type LookUps = {
  /** The addresses of a host as they were found last; none while they were never found. */
  readonly of: (host: string) => Promise<readonly string[]>
}

/** How long the first question for a name may keep a pass, in ms; and any later one, which has the answer before. */
const firstMs = 2_000
const laterMs = 250

/** Asks each time, and waits only a moment: a name server that does not answer must not keep passes from healing. */
export function createLookUps(
  lookUp: (host: string) => Promise<readonly string[]>,
  wait: (ms: number) => Promise<void>,
): LookUps {
  const found = new Map<string, readonly string[]>()
  const asked = new Set<string>()
  const pending = new Map<string, Promise<void>>()
  const ask = async (host: string) => {
    try {
      found.set(host, await lookUp(host))
    } catch (error) {
      if (!isExpected(error)) throw error
    } finally {
      pending.delete(host)
    }
  }
  return {
    async of(host) {
      const question = pending.get(host) ?? ask(host)
      pending.set(host, question)
      const patience = wait(asked.has(host) ? laterMs : firstMs)
      asked.add(host)
      await Promise.race([question, patience])
      return found.get(host) ?? []
    },
  }
}
