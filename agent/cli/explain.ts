import type { TargetPid } from '../host/exec.ts'
import { buildMatrix } from '../policy/matrix.ts'
import { namedSources } from '../policy/matrix-groups.ts'
import { findNearMisses } from '../policy/verdict-near.ts'
import { decideConnection } from '../policy/verdict.ts'
import { usedClusterSets } from '../policy/needs-cluster.ts'
import { families } from '../ruleset/address.ts'
import type { Action } from '../ruleset/fields.ts'
import { guessAddresses, toConnection } from './explain-connection.ts'
import type { ConnectionOptions } from './explain-connection.ts'
import { formatExplanation, locate } from './explain-text.ts'
import type { Explanation } from './explain-text.ts'
import { findPolicy } from './find-policy.ts'
import type { FoundPolicy } from './find-policy.ts'
import { formatMatrices } from './matrix.ts'
import { parseSets } from './set-option.ts'
import { UsageError } from './usage-error.ts'

export type ExplainOptions = ConnectionOptions & {
  /** File with a Node, as `kubectl get node NAME -o yaml` prints it. */
  readonly node?: string
  /** What `external: auto` stands for, where the Node does not say. */
  readonly external?: readonly string[]
  /** A process of the node itself: its facts are those of the kernel. */
  readonly targetPid?: TargetPid
  /** Folder of what an agent on that node keeps. */
  readonly stateDir?: string
  /** What sets of the cluster hold, each as `nodes=10.0.0.0/24,10.0.1.7`. */
  readonly set?: readonly string[]
  /** Who reaches what of the node, instead of one connection. */
  readonly matrix?: boolean
  readonly json?: boolean
  /** The verdict that is wanted: another one is a failure. */
  readonly expect?: Action
}

/**
 * Prints what rulesets do with a connection, and why; or who reaches what of the node. Returns the exit code: 0
 * when that could be answered, whatever the answer, unless it is not the one that `expect` names: then 1.
 *
 * @throws {UsageError} when the options do not say enough, or make no sense
 */
export async function explain(paths: readonly string[], options: ExplainOptions): Promise<number> {
  if (options.matrix === true && options.expect !== undefined) {
    throw new UsageError('--expect is about one connection: it does not go with --matrix')
  }
  const { node, external, targetPid, stateDir } = options
  const found = await findPolicy(paths, {
    ...(node === undefined ? {} : { node }),
    ...(external === undefined ? {} : { external }),
    ...(targetPid === undefined ? {} : { targetPid, stateDir }),
    addresses: guessAddresses(options),
    cluster: parseSets(options.set ?? []),
  })
  if (found === 'errors') return 1
  if (found === 'none') {
    if (options.json === true) console.log(JSON.stringify({ action: 'accept', by: { kind: 'none' } }))
    else console.log('accept: no ruleset selects this node')
    return check('accept', options.expect)
  }
  warnOfUnknownSets(found)
  if (options.matrix === true) {
    printMatrix(found, options)
    return 0
  }
  return explainConnection(found, options)
}

type KnownPolicy = Exclude<FoundPolicy, string>

function explainConnection({ policy, rulesets }: KnownPolicy, options: ExplainOptions): number {
  const connection = toConnection(options, policy)
  const verdict = decideConnection(policy, connection)
  const accepts = verdict.action === 'accept'
  const nearMisses = findNearMisses(policy, connection).filter(
    ({ rule, action }) => rule.kind !== 'failsafe' && (action === 'accept') !== accepts,
  )
  const explanation = { connection, verdict, nearMisses, rulesets }
  if (options.json === true) console.log(JSON.stringify(toJson(explanation), null, 2))
  else console.log(formatExplanation(explanation))
  return check(verdict.action, options.expect)
}

function toJson({ connection, verdict, nearMisses, rulesets }: Explanation): unknown {
  const { before, ...last } = verdict
  const decisions = [...before, last].map((decision) => ({
    ...decision,
    at: locate(decision.by, decision.flow, rulesets),
  }))
  const near = nearMisses.map((miss) => ({ ...miss, at: locate(miss.rule, miss.flow, rulesets) }))
  return { action: verdict.action, connection, decisions, nearMisses: near }
}

function check(found: Action, expected: Action | undefined): number {
  if (expected === undefined || expected === found) return 0
  console.error(`expected ${expected}, found ${found}`)
  return 1
}

function printMatrix({ policy, rulesets }: KnownPolicy, options: ExplainOptions): void {
  const matrices = families.flatMap((family) => {
    const address = policy.self.find((own) => own.family === family)?.address
    if (address === undefined) return []
    const input = options.in ?? policy.external[0]?.replace(/^any$/, 'eth0').replace('+', '0') ?? 'eth0'
    return [buildMatrix(policy, { family, node: address, input, named: namedSources(rulesets, policy) })]
  })
  if (options.json === true) console.log(JSON.stringify(matrices, null, 2))
  else console.log(formatMatrices(matrices).trimEnd())
}

function warnOfUnknownSets({ rulesets, policy }: KnownPolicy): void {
  for (const name of usedClusterSets(rulesets)) {
    if (policy.unknownSets.has(name)) {
      console.error(`warning: nobody is in the set ${name} here: say who is with --set ${name}=ADDRESS,...`)
    }
  }
}
