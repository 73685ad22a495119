import { compilePolicy } from '../netfilter/compile.ts'
import { createText } from '../netfilter/ipset-text.ts'
import { freshText } from '../netfilter/restore-text.ts'
import { program } from '../netfilter/tables.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { findPolicy } from './find-policy.ts'
import type { PolicyOptions } from './find-policy.ts'
import { parseSets } from './set-option.ts'

export type RenderOptions = Pick<PolicyOptions, 'node' | 'external' | 'targetPid' | 'stateDir'> & {
  readonly family?: Family
  /** What sets of the cluster hold, each as `nodes=10.0.0.0/24,10.0.1.7`. */
  readonly set?: readonly string[]
}

/** Prints what would be restored on a node that has nothing of ours; returns the exit code. */
export async function render(paths: readonly string[], options: RenderOptions): Promise<number> {
  const found = await findPolicy(paths, { ...options, cluster: parseSets(options.set ?? []) })
  if (found === 'errors') return 1
  if (found === 'none') {
    console.log('# no ruleset selects this node: nothing is restored')
    return 0
  }
  for (const family of options.family === undefined ? families : [options.family]) {
    const desired = compilePolicy(found.policy, family)
    if (desired.sets.length > 0) console.log('# ipset restore')
    for (const set of desired.sets) process.stdout.write(createText(set))
    console.log(`# ${program('nft', family, 'restore')} --noflush`)
    process.stdout.write(freshText(desired))
  }
  return 0
}
