import { judgeCalico, judgeCilium } from './cni.ts'
import type { Dataplane } from './dataplane.ts'
import type { Finding } from './finding.ts'
import { judgePrograms } from './judge-programs.ts'
import { judgeTables } from './judge-tables.ts'
import { judgeUntracked } from './untracked.ts'

/** What on this node goes past our rules, or decides beside them, and what can be done about it. */
export function findBypasses(dataplane: Dataplane): readonly Finding[] {
  return [
    ...judgeCilium(dataplane),
    ...judgeCalico(dataplane),
    ...judgePrograms(dataplane),
    ...judgeUntracked(dataplane.untracked),
    ...judgeTables(dataplane.tables),
  ]
}
