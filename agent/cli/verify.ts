import type { ConfigMaps } from '../cluster/config-maps.ts'
import type { Override } from '../confirm/break-glass.ts'
import { createKeeping, noStore } from '../confirm/keeping.ts'
import { createOnlooker } from '../confirm/onlooker.ts'
import type { TargetPid } from '../host/exec.ts'
import { readRulesetFiles } from '../host/ruleset-files.ts'
import { readStateFolder } from '../host/state-folder.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { Decision } from '../policy/decide.ts'
import { reconcile } from '../reconcile.ts'
import { noMemory } from '../pass.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import type { SourceFile } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Labels } from '../ruleset/select.ts'
import { readKernelSets } from '../daemon/kernel-sets.ts'
import { createSources } from '../daemon/newest-sources.ts'
import { openOrders } from '../daemon/orders.ts'
import { openNetwork } from '../daemon/node.ts'
import { findServersOnce, withServers } from '../daemon/open-server-finder.ts'

export type VerifyOptions = {
  readonly rules: string
  /** The ConfigMaps that are mounted there, where the API may show a newer text of them. */
  readonly configMaps: ConfigMaps | undefined
  readonly targetPid: TargetPid
  readonly backend: Backend | 'auto'
  readonly labels: () => Promise<Labels>
  /** Folder of what the agent of this node keeps. */
  readonly stateDir: string
}

const inSync = 0
const drifted = 3
const unknown = 4

/**
 * Compares the kernel with the rulesets, or where an agent has rolled them back or was overridden with what then ought to
 * be in force. Changes nothing; returns the exit code: 0 in sync, 3 drift, 4 unknown.
 */
export async function verify({
  rules,
  configMaps,
  targetPid,
  backend,
  labels,
  stateDir,
}: VerifyOptions): Promise<number> {
  const network = await openNetwork(targetPid, backend)
  const findServers = async () => findServersOnce(network.exec, targetPid, stateDir)
  const kept = { ...noStore, read: async () => readStateFolder(stateDir) }
  const keeping = await createKeeping(kept, parseRulesets)
  const trials = createOnlooker(keeping, ({ hash, probe, reason }, standing) =>
    console.log(
      `ruleset ${hash} was rolled back, ${probe} failed: ${reason}; compared with what was confirmed before: ${standing}`,
    ),
  )
  const annotation = keeping.mode()
  const orders = await openOrders({ annotation, stateDir, onAnnotation: () => {}, onChange: () => {} })
  const known = await labels().catch(() => undefined)
  // What the cluster's sets hold is the agent's to know: the rules have to be those that follow from it.
  const cluster = await readKernelSets(network.ipsets)
  const files = await readNewest(rules, configMaps)
  const { memory, status } = await reconcile(noMemory, [{ reason: 'verify' }], {
    ...network,
    readFacts: withServers(network.readFacts, findServers),
    readSources: async () => files,
    parse: parseRulesets,
    labels: () => known,
    clusterFacts: () => cluster,
    lastCut: () => undefined,
    dryRun: true,
    onNewRules: () => {},
    trials,
    override: orders.override,
    now: () => new Date(),
    elapsedMs: () => performance.now(),
  })
  const { override } = orders.override()
  if (override !== undefined) console.log(`compared with mode ${override.mode}, by order of ${override.by}`)
  const problems = memory.decision?.problems ?? []
  for (const problem of problems) console.error(formatProblem(problem))
  if (hasErrors(problems) || isUnknown(memory.decision, override)) {
    console.log(`unknown: ${status.message}`)
    return unknown
  }
  const codes = Object.entries(memory.families).map(([family, { error, left }]) => {
    if (error !== undefined) {
      console.log(`${family}: unknown: ${error.message}`)
      return unknown
    }
    if (left.length === 0) console.log(`${family}: in sync`)
    for (const { message, lines } of left) console.log([`${family}: ${message}`, ...lines].join('\n  '))
    return left.length === 0 ? inSync : drifted
  })
  return Math.max(...codes)
}

/** An audit that cannot be resolved here is none of which could be told what it would be. */
function isUnknown(decision: Decision | undefined, override: Override | undefined): boolean {
  if (decision === undefined || decision.wanted.kind === 'whatever is there') return true
  return override?.mode === 'audit' && decision.obstacle !== undefined
}

/** The text that an agent would go by: of the mounted files, or of the API before the kubelet has brought it. */
async function readNewest(
  folder: string,
  configMaps: ConfigMaps | undefined,
): Promise<readonly SourceFile[]> {
  const sources = createSources({
    folder,
    readMount: async () => readRulesetFiles(folder),
    configMaps,
    onChange: () => {},
    onError: ({ message }) => console.error(`${message}; the mounted files count`),
  })
  try {
    return await sources.read()
  } finally {
    await sources.stop()
  }
}
