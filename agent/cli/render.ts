import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import * as z from 'zod'
import { messageOf } from '../errors.ts'
import { compilePolicy } from '../netfilter/compile.ts'
import { freshText } from '../netfilter/restore-text.ts'
import { program } from '../netfilter/tables.ts'
import { noClusterFacts } from '../policy/policy.ts'
import type { NodeFacts } from '../policy/policy.ts'
import { resolvePolicy } from '../policy/resolve.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import { needsLabels, selectRulesets } from '../ruleset/select.ts'
import type { Labels } from '../ruleset/select.ts'
import { annotationPrefix } from '../status/annotations.ts'
import { readPaths } from './sources.ts'
import { UsageError } from './usage-error.ts'

export type RenderOptions = {
  /** File with a Node, as `kubectl get node NAME -o yaml` prints it. */
  readonly node?: string
  readonly family?: Family
  /** What `external: auto` stands for, where the Node does not say. */
  readonly external?: readonly string[]
}

/** Prints what would be restored on a node that has nothing of ours; returns the exit code. */
export async function render(paths: readonly string[], options: RenderOptions): Promise<number> {
  const { rulesets, problems } = parseRulesets(await readPaths(paths))
  const node = options.node === undefined ? {} : await readNode(options.node)
  if (node.labels === undefined && needsLabels(rulesets)) {
    throw new UsageError(
      'a ruleset has a nodeSelector: give the node with --node FILE (kubectl get node NAME -o yaml)',
    )
  }
  const selected = selectRulesets(rulesets, node.labels ?? {})
  const all = [...problems, ...selected.problems]
  for (const problem of all) console.error(formatProblem(problem))
  if (hasErrors(all)) return 1
  if (selected.rulesets.length === 0) {
    console.log('# no ruleset selects this node: nothing is restored')
    return 0
  }
  const external = options.external ?? node.external
  if (external === undefined && selected.rulesets.some((ruleset) => ruleset.external === 'auto')) {
    throw new UsageError(
      'a ruleset says "external: auto", which only the node knows: give --external, or a --node that node-firewall runs on',
    )
  }
  const facts: NodeFacts = { external: external ?? [], interfaces: external ?? [], addresses: [] }
  const policy = resolvePolicy(selected.rulesets, { facts, cluster: noClusterFacts, now: Date.now() })
  for (const family of options.family === undefined ? families : [options.family]) {
    console.log(`# ${program('nft', family, 'restore')} --noflush`)
    process.stdout.write(freshText(compilePolicy(policy, family)))
  }
  return 0
}

const nodeShape = z.object({
  kind: z.literal('Node'),
  metadata: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
})
const detailsShape = z.object({ interfaces: z.object({ external: z.array(z.string()) }) })

async function readNode(file: string): Promise<{ labels?: Labels; external?: readonly string[] }> {
  const node = await readAs(file, nodeShape)
  const { labels, annotations } = node.metadata
  const status = annotations[`${annotationPrefix}status`]
  if (status === undefined) return { labels }
  const { success, data } = detailsShape.safeParse(tryJson(status))
  return success ? { labels, external: data.interfaces.external } : { labels }
}

async function readAs<T>(file: string, shape: z.ZodType<T>): Promise<T> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`reading the node from ${file}: ${messageOf(error)}`, { cause: error })
  }
  const result = shape.safeParse(parse(text, { logLevel: 'silent' }))
  if (result.success) return result.data
  throw new UsageError(
    `reading the node from ${file}: expected a Node, as "kubectl get node NAME -o yaml" prints it`,
  )
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
