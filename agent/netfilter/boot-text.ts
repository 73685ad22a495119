import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import { baseChains } from './chain.ts'
import type { Desired } from './chain.ts'
import { bootSetText } from './ipset-text.ts'
import { addMarks } from './made.ts'
import { freshText } from './restore-text.ts'

/** What is in force, as far as the start of the machine has to bring it back. */
export type BootState = {
  readonly backend: Backend
  /** A family that has nothing of ours is absent. */
  readonly desired: Readonly<Partial<Record<Family, Desired>>>
}

/**
 * What `boot-restore.sh` restores: sections for ipset(8) and iptables-restore(8), each under a line that begins with
 * `#`, which no line of theirs does. Rules are those of a machine that has nothing of ours yet.
 */
export function bootText({ backend, desired }: BootState): string {
  const sections = families.flatMap((family) => {
    const own = desired[family]
    if (own === undefined) return []
    const sets = own.sets.map(bootSetText).join('')
    return [`#sets ${family}\n${sets}`, `#rules ${family}\n${rulesText(own, backend)}`]
  })
  return [`#backend ${backend}\n`, ...sections, '#end\n'].join('')
}

/** The script leaves the marks out where the table is there before it. */
function rulesText(desired: Desired, backend: Backend): string {
  const text = freshText(desired)
  if (backend === 'legacy') return text
  return addMarks(text, [...baseChains.filter((base) => desired.jumps[base] !== undefined), 'table'])
}
