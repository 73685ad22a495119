import { annotationPrefix } from '../../agent/status/annotations.ts'
import { dumpScript, ownLines } from './kernel.ts'
import { eachNode, until } from './phase.ts'
import type { Phase, Stage } from './phase.ts'
import { lockOutProbe, lockOutRuleset, portRuleset, ruleFile, wrongRuleset } from './rules.ts'
import type { SiteNode } from './site.ts'

/** A port that nobody uses: discard, RFC 863. */
const discard = 9

export const deploy: Phase = {
  title: 'deploy: every node has the rules of the overlay in force',
  async run(stage) {
    const { site, before, tell } = stage
    for (const { name } of await site.nodes()) before.set(name, await site.onNode(name, dumpScript))
    const traces = [...before].filter(([, dump]) => ownLines(dump).length > 0)
    if (traces.length > 0) throw new Error(`${traces[0]?.[0]}: there are rules of node-firewall already`)
    await site.deploy()
    await site.waitFor(await site.readRules())
    await expectState(stage, 'Enforcing')
    tell(`   ${before.size} nodes`)
    return undefined
  },
}

export const edit: Phase = {
  title: 'edit: a change of the ConfigMap is in the kernel and in the annotations of every node',
  async run(stage) {
    const { site } = stage
    const hashes = new Map((await site.nodes()).map((node) => [node.name, said(node, 'ruleset')]))
    await putAndWait(stage, portRuleset('edit', 'reject', discard))
    await until(stage, async () =>
      eachNode(stage, async (node) => {
        if (!(await own(stage, node)).some((line) => line.includes('e2e/edit')))
          return 'the rule is not in the kernel'
        const hash = said(node, 'ruleset')
        return hash === hashes.get(node.name) ? `the annotation still says ruleset ${hash}` : undefined
      }),
    )
    await expectVerified(stage)
    return undefined
  },
}

export const breakRules: Phase = {
  title: 'break: rulesets with an error change nothing in the kernel, and every node says so',
  async run(stage) {
    const { site } = stage
    const kernels = new Map<string, string>()
    for (const node of await site.nodes()) kernels.set(node.name, (await own(stage, node)).join('\n'))
    await site.putRules({ [ruleFile]: wrongRuleset })
    await expectState(stage, 'Invalid', ruleFile)
    const wrong = await eachNode(stage, async (node) =>
      (await own(stage, node)).join('\n') === kernels.get(node.name) ? undefined : 'the kernel has changed',
    )
    if (wrong !== undefined) throw new Error(wrong)
    await putAndWait(stage, portRuleset('mended', 'reject', discard))
    return undefined
  },
}

export const rollBack: Phase = {
  title: 'roll back: a change that cuts what it names as a probe is undone on every node',
  async run(stage) {
    const { site } = stage
    await site.putRules({ [ruleFile]: lockOutRuleset(site.server.podAddress) })
    await expectState(stage, 'RolledBack', lockOutProbe)
    const wrong = await eachNode(stage, async (node) => {
      const lines = await own(stage, node)
      if (lines.some((line) => line.includes('e2e/cut'))) return 'the rule is still in the kernel'
      return lines.some((line) => line.includes('e2e/mended'))
        ? undefined
        : 'the rules of before are not back'
    })
    if (wrong !== undefined) throw new Error(wrong)
    await putAndWait(stage, portRuleset('after all', 'reject', discard))
    await expectState(stage, 'Enforcing')
    return undefined
  },
}

/** Puts the ruleset of this run beside the others, and waits until all of them are in force. */
export async function putAndWait({ site }: Stage, text: string): Promise<void> {
  await site.putRules({ [ruleFile]: text })
  await site.waitFor({ ...(await site.readRules()), [ruleFile]: text })
}

/** Waits until every node is in a state, and its annotations have a word. */
export async function expectState(stage: Stage, state: string, word = ''): Promise<void> {
  await until(stage, async () =>
    eachNode(stage, (node) => {
      const found = said(node, 'state')
      if (found !== state) return `found state ${found} ("${said(node, 'message')}"), expected ${state}`
      const all = `${said(node, 'message')} ${said(node, 'status')}`
      return all.includes(word) ? undefined : `expected "${word}" in the annotations: ${all}`
    }),
  )
}

/** The kubelet brings edits to the agent's files in about a minute; until then they are not what is in force. */
async function expectVerified(stage: Stage): Promise<void> {
  await until(stage, async () =>
    eachNode(stage, async ({ name }) => {
      try {
        await stage.site.verify(name)
        return undefined
      } catch (error) {
        return `node-firewall verify: ${error instanceof Error ? error.message : String(error)}`
      }
    }),
  )
}

async function own({ site }: Stage, { name }: SiteNode): Promise<readonly string[]> {
  return ownLines(await site.onNode(name, dumpScript))
}

export function said({ annotations }: SiteNode, key: string): string {
  return annotations[annotationPrefix + key] ?? 'nothing'
}
