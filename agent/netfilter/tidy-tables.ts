import { OutsideError } from '../errors.ts'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import { addMarks, basesOf, readPresent } from './made.ts'
import type { Tables } from './tables.ts'
import { unmake } from './unmake.ts'

/**
 * Tables that leave nothing of iptables-nft behind: what a commit makes for our rules gets marks, and goes again after
 * the commit that removes the last of them. When that cannot be done it is a note: the rules are as they should be.
 */
export function tidyTables(tables: Tables, exec: Exec): Tables {
  return {
    read: async (backend, family) => tables.read(backend, family),
    async restore(backend, family, text) {
      if (backend === 'legacy') return tables.restore(backend, family, text)
      if (basesOf(text).length > 0) {
        const { marked, notes } = await mark(exec, family, text)
        return [...(await tables.restore(backend, family, marked)), ...notes]
      }
      const notes = await tables.restore(backend, family, text)
      return isRemoval(text) ? [...notes, ...(await tidy(tables, exec, family))] : notes
    },
  }
}

async function mark(exec: Exec, family: Family, text: string) {
  try {
    const present = await readPresent(exec, family)
    const making = [...basesOf(text), 'table' as const].filter((made) => !present.has(made))
    return { marked: addMarks(text, making), notes: [] }
  } catch (error) {
    // Without marks what is made would stay for ever: the pass is tried again.
    if (!(error instanceof OutsideError) || error.wasKilled) throw error
    return { marked: text, notes: [error.message] }
  }
}

/** Whether a commit only takes away; perhaps nothing but what was made for rules that are gone already. */
function isRemoval(text: string): boolean {
  return !/^(?:\[\d+:\d+\] )?-[AI] /m.test(text)
}

async function tidy(tables: Tables, exec: Exec, family: Family): Promise<string[]> {
  try {
    await unmake(tables, exec, family)
    return []
  } catch (error) {
    if (!(error instanceof OutsideError)) throw error
    return [`removing what iptables-nft made for the rules: ${error.message}`]
  }
}
