import { OutsideError } from '../errors.ts'
import { canonicalizeProtocol } from './protocol-names.ts'
import type { ProtocolTable } from './protocol-names.ts'

/** The filter table of one family, as `iptables-save --counters` printed it. */
export type SavedTable = ReadonlyMap<string, SavedChain>

export type SavedChain = {
  /** ACCEPT or DROP for a base chain, `-` for a user's. */
  readonly policy: string
  readonly rules: readonly SavedRule[]
}

export type SavedRule = {
  /** The rule without its `-A CHAIN`. */
  readonly text: string
  /** `[packets:bytes]` */
  readonly counters: string
}

/** The answer was not whole: what is in the kernel is unknown, neither "in sync" nor "absent". */
export class UnreadableTableError extends OutsideError {
  override readonly name = 'UnreadableTableError'
}

/**
 * Parses what `iptables-save --counters -t filter` printed.
 *
 * iptables-nft-save can say `incompatible` with exit status 0, or stop before COMMIT, when somebody put native
 * nft rules into its table.
 *
 * @throws {UnreadableTableError} when the text is not one whole filter table.
 */
export function parseSavedTable(text: string, protocols: ProtocolTable): SavedTable {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const complaint = /^# Table .*incompatible.*$/m.exec(text)
  if (complaint !== null)
    throw new UnreadableTableError(`reading the filter table: it says "${complaint[0]}"`)
  if (lines[0] !== '*filter') throw new UnreadableTableError(`reading the filter table: ${found(lines[0])}`)
  if (lines.at(-1) !== 'COMMIT')
    throw new UnreadableTableError('reading the filter table: it ends before COMMIT')

  const chains = new Map<string, { policy: string; rules: SavedRule[] }>()
  for (const line of lines.slice(1, -1)) {
    const [, chain, policy] = /^:(\S+) (\S+) \[\d+:\d+\]$/.exec(line) ?? []
    if (chain !== undefined && policy !== undefined) {
      chains.set(chain, { policy, rules: [] })
      continue
    }
    const [, counters, parent, rule] = /^(\[\d+:\d+\]) -A (\S+)(?: (.*))?$/.exec(line) ?? []
    const owner = parent === undefined ? undefined : chains.get(parent)
    if (counters === undefined || owner === undefined) {
      throw new UnreadableTableError(`reading the filter table: ${found(line)}`)
    }
    owner.rules.push({ text: canonicalizeProtocol(rule ?? '', protocols), counters })
  }
  return chains
}

/** The table of a namespace in which nobody has made one. */
export const emptyTable: SavedTable = new Map()

function found(line: string | undefined): string {
  return line === undefined ? 'found nothing' : `found "${line}"`
}
