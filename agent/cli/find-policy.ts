import { noClusterFacts } from '../policy/policy.ts'
import type { ClusterFacts, NodeFacts, Policy } from '../policy/policy.ts'
import { resolvePolicy, UnresolvedError } from '../policy/resolve.ts'
import type { Cidr } from '../ruleset/address.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { needsLabels, selectRulesets } from '../ruleset/select.ts'
import { readKernelSets } from '../daemon/kernel-sets.ts'
import { openNetwork } from '../daemon/node.ts'
import { findServersOnce, withServers } from '../daemon/open-server-finder.ts'
import type { TargetPid } from '../host/exec.ts'
import { readNodeFile } from './node-file.ts'
import type { NodeFile } from './node-file.ts'
import { connect } from './node-side.ts'
import { readPaths } from './sources.ts'
import { UsageError } from './usage-error.ts'

export type PolicyOptions = {
  /** File with a Node, as `kubectl get node NAME -o yaml` prints it. */
  readonly node?: string
  /** What `external: auto` stands for, where the Node does not say. */
  readonly external?: readonly string[]
  /** Addresses of the node, where the Node does not say. */
  readonly addresses?: readonly Cidr[]
  readonly cluster?: ClusterFacts
  /** A process of the node itself: its facts are those of the kernel. */
  readonly targetPid?: TargetPid
  /** Folder of what an agent on that node keeps. */
  readonly stateDir?: string | undefined
}

/** The policy of a node and the rulesets it comes from; `none`: no ruleset selects it; `errors`: printed already. */
export type FoundPolicy =
  | 'none'
  | 'errors'
  | { readonly policy: Policy; readonly rulesets: readonly Ruleset[] }

/**
 * Finds what files of rulesets mean for a node that is known from a file, or not at all. Prints their problems.
 *
 * @throws {UsageError} when something has to be known of the node that nobody said
 */
export async function findPolicy(paths: readonly string[], options: PolicyOptions): Promise<FoundPolicy> {
  const { rulesets, problems } = parseRulesets(await readPaths(paths))
  const node = await findNode(rulesets, options)
  if (node.labels === undefined && needsLabels(rulesets)) {
    throw new UsageError(
      'a ruleset has a nodeSelector: give the node with --node FILE (kubectl get node NAME -o yaml); ' +
        'in the pod of an agent --target-pid is enough',
    )
  }
  const selected = selectRulesets(rulesets, node.labels ?? {})
  const all = [...problems, ...selected.problems]
  for (const problem of all) console.error(formatProblem(problem))
  if (hasErrors(all)) return 'errors'
  if (selected.rulesets.length === 0) return 'none'
  const { facts, cluster } = await surroundingsOf(selected.rulesets, node, options)
  return { policy: resolve(selected.rulesets, { facts, cluster }), rulesets: selected.rulesets }
}

function resolve(rulesets: readonly Ruleset[], known: Known): Policy {
  try {
    return resolvePolicy(rulesets, { ...known, now: Date.now() })
  } catch (error) {
    if (!(error instanceof UnresolvedError)) throw error
    throw new UsageError(`${error.message}, or give --external`, { cause: error })
  }
}

/** The Node of a file; on the node itself its labels, if somebody asks for them and the pod says whose they are. */
async function findNode(rulesets: readonly Ruleset[], options: PolicyOptions): Promise<NodeFile> {
  if (options.node !== undefined) return readNodeFile(options.node)
  const name = process.env['NODE_FIREWALL_NODE']
  if (options.targetPid === undefined || name === undefined || !needsLabels(rulesets)) return {}
  return { labels: (await connect(name).read()).labels }
}

type Known = { readonly facts: NodeFacts; readonly cluster: ClusterFacts }

async function surroundingsOf(
  rulesets: readonly Ruleset[],
  node: NodeFile,
  options: PolicyOptions,
): Promise<Known> {
  if (options.targetPid !== undefined) {
    const { targetPid, stateDir } = options
    const network = await openNetwork(targetPid, 'auto')
    const findServers = async () => findServersOnce(network.exec, targetPid, stateDir)
    const facts = await withServers(network.readFacts, findServers)(true)
    const cluster = { ...(await readKernelSets(network.ipsets)), ...options.cluster }
    return {
      facts: options.external === undefined ? facts : { ...facts, external: options.external },
      cluster,
    }
  }
  const external = options.external ?? node.external
  if (external === undefined && rulesets.some((ruleset) => ruleset.external === 'auto')) {
    throw new UsageError(
      'a ruleset says "external: auto", which only the node knows: give --external, --target-pid, or a --node that node-firewall runs on',
    )
  }
  const facts = {
    external: external ?? [],
    interfaces: external ?? [],
    addresses: node.addresses ?? options.addresses ?? [],
  }
  return { facts, cluster: options.cluster ?? noClusterFacts }
}
