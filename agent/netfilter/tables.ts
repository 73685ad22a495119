import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import type { ProtocolTable } from './protocol-names.ts'
import { emptyTable, parseSavedTable } from './saved-table.ts'
import type { SavedTable } from './saved-table.ts'
import { markVerdictMaps, mayHaveVerdictMaps } from './verdict-maps.ts'

/** The filter tables of one network namespace, of every backend and family. */
export type Tables = {
  /**
   * @throws {UnreadableTableError} when the answer is not whole
   * @throws {CommandError} when the command fails
   */
  read(backend: Backend, family: Family): Promise<SavedTable>
  /**
   * Applies the text of one commit; it takes effect as a whole or not at all.
   *
   * @returns what the command had to say although it succeeded, such as that it had to wait
   * @throws {CommandError} when the kernel or the parser refused it
   */
  restore(backend: Backend, family: Family, text: string): Promise<string[]>
}

/** Names of the tables that the legacy backend holds in the kernel, from /proc/net/ip_tables_names. */
export type LegacyTables = (family: Family) => Promise<readonly string[]>

/** Seconds to wait for another program that holds the xtables lock. */
const lockSeconds = 10

/** The largest rulesets load in well under a second. */
const lockedMs = 2_000

/** @param read runs programs that change nothing; perhaps several as one */
export function createTables(
  exec: Exec,
  legacyTables: LegacyTables,
  protocols: ProtocolTable,
  read: Exec = exec,
): Tables {
  return {
    async read(backend, family) {
      // Naming a table with -t makes the legacy backend create it, and reading must change nothing.
      if (backend === 'legacy' && !(await legacyTables(family)).includes('filter')) return emptyTable
      const { stdout } = await read(program(backend, family, 'save'), ['--counters', '-t', 'filter'])
      const table = parseSavedTable(stdout, protocols)
      if (backend === 'legacy' || !mayHaveVerdictMaps(table)) return table
      const listed = await exec('nft', [
        '--json',
        'list',
        'table',
        family === 'ipv4' ? 'ip' : 'ip6',
        'filter',
      ])
      return markVerdictMaps(table, listed.stdout)
    },
    async restore(backend, family, text) {
      const args = ['--noflush', '--counters', `--wait=${lockSeconds}`]
      const name = program(backend, family, 'restore')
      const { stderr, durationMs } = await exec(name, args, { input: text })
      return [...notesOf(stderr), ...slownessOf(name, durationMs)]
    },
  }
}

/** The explicit program of a backend: which one plain `iptables` means differs from image to image. */
export function program(backend: Backend, family: Family, verb: 'save' | 'restore'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-${verb}`
}

function notesOf(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

/** Who waits for the lock and gets it says nothing of it: only the time tells. */
function slownessOf(name: string, durationMs: number): string[] {
  if (durationMs < lockedMs) return []
  return [`${name} took ${(durationMs / 1000).toFixed(1)} s: another program may have held the xtables lock`]
}
