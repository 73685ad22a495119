import type { Phase } from './phase.ts'
import { breakRules, deploy, edit, rollBack } from './rule-phases.ts'
import { nodePorts, upgrade } from './traffic-phases.ts'
import { uninstall } from './uninstall-phase.ts'

/** All phases, in order: each goes on with what the one before has left. */
export const phases: readonly Phase[] = [deploy, edit, breakRules, rollBack, nodePorts, upgrade, uninstall]
