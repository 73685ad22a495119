import { setTimeout as pause } from 'node:timers/promises'
import { families } from '../../agent/ruleset/address.ts'
import { clientAddress, nodeAddress } from '../../test/sandbox/sandbox.ts'
import { eachTenMinutes } from './agent-process.ts'
import type { AgentProcess } from './agent-process.ts'
import { withCluster } from './cluster.ts'
import { readAnonymousOfChildren, readCpu, readMemory } from './process-figures.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { namedRules } from './rulesets.ts'
import { formatNumber } from './statistics.ts'
import { withAgent } from './with-agent.ts'
import type { AtWork } from './with-agent.ts'
import type { Workshop } from './workshop.ts'

const settlingSeconds = 30
const seconds = 300
/** As the PodMonitor asks. */
const secondsBetweenScrapes = 60
const secondsBetweenKnocks = 30

/**
 * What the agent takes with all that manifests have: its ConfigMap watched through the API, metrics asked for as
 * Prometheus does, and connections that are denied, logged and told of; a verify pass each 30 s, as on a node.
 */
export async function measureEverythingOn(workshop: Workshop): Promise<Row[]> {
  const text = namedRules(12, false).replace('ingress: reject', 'ingress: reject, log: true')
  const { own, others, millicores } = await withCluster(
    { text, leaseEveryMs: 10_000 },
    async ({ cluster }) => {
      const schedules = { verifySchedule: '*/30 * * * * *', reapplySchedule: eachTenMinutes }
      const options = { backend: 'nft', text, cluster, serves: true, ...schedules } as const
      return withAgent(workshop, options, async (atWork) => {
        const { pid } = atWork.agent
        await beBusy(atWork, settlingSeconds)
        const [cpuBefore, startedAt] = [await readCpu(pid), performance.now()]
        await beBusy(atWork, seconds)
        await ask(atWork.agent, '/denied', clientAddress.internet.ipv4)
        const cpu = ((await readCpu(pid)) - cpuBefore) / (performance.now() - startedAt)
        return {
          own: await readMemory(pid),
          others: await readAnonymousOfChildren(pid),
          millicores: cpu * 1_000,
        }
      })
    },
  )
  const parts = `${formatNumber(own.anonymous)} MB of it anonymous; programs that read for it: ${formatNumber(others)} MB anonymous`
  return [
    atMost('everything on: memory resident, 12 rules', own.rss, 90, 'MB', parts),
    atMost('everything on: CPU, 12 rules', millicores, 5, 'millicores', `${seconds} s`),
  ]
}

/** Prometheus comes, and strangers. */
async function beBusy({ agent, internet }: AtWork, forSeconds: number): Promise<void> {
  const startedAt = performance.now()
  for (let second = 0; second < forSeconds; second += 1) {
    if (second % secondsBetweenScrapes === 0) await ask(agent, '/metrics', 'node_firewall_build_info')
    if (second % secondsBetweenKnocks === 0) {
      for (const family of families) {
        await internet.probe({ protocol: 'tcp', address: nodeAddress[family], port: 9_000 + (second % 100) })
      }
    }
    await pause(Math.max(0, startedAt + (second + 1) * 1_000 - performance.now()))
  }
}

async function ask({ url }: AgentProcess, path: string, expected: string): Promise<void> {
  const text = await (await fetch(`${url}${path}`)).text()
  if (!text.includes(expected)) throw new Error(`${path} does not tell of ${expected}: ${text}`)
}
