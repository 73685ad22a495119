import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Backend } from '../../agent/netfilter/backend.ts'
import type { Sandbox } from '../../test/sandbox/sandbox.ts'
import { startAgent } from './agent-process.ts'
import type { AgentProcess, AgentProcessOptions } from './agent-process.ts'
import { createConfigMap } from './config-map.ts'
import type { ConfigMap } from './config-map.ts'
import { waitForOutcome } from './in-force.ts'
import { hintBackend } from './kubelet.ts'
import { togglePort } from './rulesets.ts'
import { withSandbox } from './workshop.ts'
import type { Workshop } from './workshop.ts'

export type AtWork = Sandbox & { readonly map: ConfigMap; readonly agent: AgentProcess }

export type AtWorkOptions = {
  readonly backend: Backend
  /** A ruleset that keeps `togglePort` closed. */
  readonly text: string
} & Pick<AgentProcessOptions, 'verifySchedule' | 'reapplySchedule' | 'serves' | 'cluster'>

/** Runs with a sandbox on whose node the bundled agent has the ruleset in force. */
export async function withAgent<T>(
  { folder, program }: Workshop,
  { backend, text, ...options }: AtWorkOptions,
  use: (atWork: AtWork) => Promise<T>,
): Promise<T> {
  return withSandbox(async (sandbox) => {
    const { node, internet } = sandbox
    await node.listen('tcp', togglePort)
    await hintBackend(node, backend)
    const map = await createConfigMap(join(await mkdtemp(join(folder, 'agent-')), 'rules'), text)
    const agent = await startAgent({ ...options, program, rules: map.folder, targetPid: node.pid })
    try {
      await waitForOutcome(internet, 'refused')
      return await use({ ...sandbox, map, agent })
    } finally {
      await agent.stop()
    }
  })
}
