import { podAccess } from '../../agent/cluster/access.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { SourceFile } from '../../agent/ruleset/parse.ts'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { agentOn } from '../cluster/api-server/agent-identity.ts'
import { startApiServer } from '../cluster/api-server.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { NODES } from '../cluster/api-server/resources.ts'
import { createRandom } from '../rollout/virtual-time.ts'
import { createFleetClock } from './fleet-clock.ts'
import type { FleetClock } from './fleet-clock.ts'
import { startVirtualAgent } from './virtual-agent.ts'
import type { VirtualAgent, VirtualDisk } from './virtual-agent.ts'
import { createWindow } from './window.ts'
import type { Window } from './window.ts'

/** A cluster of which some nodes have agents, all in this process, and what they cost its API server. */
export type FleetLoad = {
  readonly server: ApiServer
  readonly clock: FleetClock
  readonly size: number
  readonly agents: () => readonly VirtualAgent[]
  /** What is asked of the API server after `act`, for so many ms and until `isDone`. */
  readonly measure: (span: Span, act?: () => Promise<void> | void) => Promise<Window>
  /** All agents start, each at some time of so many ms. */
  readonly start: (overMs: number) => void
  /** All nodes lose their power: kernels are empty, disks are not. */
  readonly powerOff: () => Promise<void>
  /** Edits the ConfigMap; the kubelets bring it within 79 s. */
  readonly edit: (ruleset: string) => void
  /** Whether all have in force, confirmed, what the ConfigMap says. */
  readonly isConverged: () => boolean
  readonly close: () => Promise<void>
}

export type Span = {
  readonly ms: number
  /** How exact times are. */
  readonly stepMs: number
  readonly isDone?: () => boolean
}

export type FleetLoadOptions = {
  readonly agents: number
  /** Nodes of the cluster. */
  readonly nodes: number
  readonly ruleset: string
  readonly seed?: number
}

const configMap = 'node-firewall-rules'
const folder = '/etc/node-firewall/rules'
const leaseMs = 10_000
const heartbeatMs = 300_000
/** A slice has as many endpoints at most. */
const sliceSize = 100

export async function startFleetLoad({
  agents: size,
  nodes,
  ruleset,
  seed = 1,
}: FleetLoadOptions): Promise<FleetLoad> {
  const random = createRandom(seed)
  const clock = createFleetClock(random)
  const server = await startApiServer({ timer: clock.after, now: clock.now })
  const access = await podAccess(new URL(server.url), server.serviceAccountDir)()
  const names = Array.from({ length: nodes }, (_, index) => `node-${index}`)
  const own = names.slice(0, size)
  putObjects(server, names, own)
  const disks = new Map<string, VirtualDisk>(own.map((name) => [name, { kernel: 'none' }]))
  let agents: VirtualAgent[] = []
  let files = filesOf(ruleset)
  server.objects.putConfigMap(
    configMap,
    { data: { 'rules.yaml': ruleset } },
    new Date(Date.now() - 3_600_000),
  )
  const ended = new AbortController()
  const repeatAll = (everyMs: number, act: (name: string) => void) => {
    for (const name of own) {
      const again = () => {
        if (ended.signal.aborted) return
        act(name)
        clock.after(everyMs, again)
      }
      clock.after(everyMs * random(), again)
    }
  }
  const renew = (name: string) => {
    // At a fast pace nobody looks at Leases, and renewing them is all that would be done.
    if (renews) server.objects.renewLease(name, { at: new Date(clock.date()) })
  }
  let renews = true
  for (const name of own) renew(name)
  repeatAll(leaseMs, renew)
  repeatAll(heartbeatMs, (name) => beat(server, name, clock.date()))

  const startOne = async (name: string) => {
    const disk = disks.get(name) ?? { kernel: 'none' }
    const headers = { authorization: `Bearer ${server.createToken(agentOn(name))}` }
    const agent = await startVirtualAgent({ name, access: { ...access, headers }, clock, configMap, disk })
    agent.mount(files)
    agents.push(agent)
  }
  return {
    server,
    clock,
    size,
    agents: () => agents,
    async measure({ ms, stepMs, isDone }, act = () => {}) {
      // In long steps nobody looks at Leases, and renewing them would be all that is done.
      renews = stepMs < 1_000
      if (renews) for (const name of own) renew(name)
      const window = createWindow(server, { clock, agents: size })
      await act()
      await clock.run(ms, stepMs, isDone)
      return window.close()
    },
    start(overMs) {
      for (const name of own) clock.after(overMs * random(), () => void startOne(name))
    },
    async powerOff() {
      const last = agents
      agents = []
      await Promise.all(last.map(async (agent) => agent.stop()))
      for (const disk of disks.values()) disk.kernel = 'none'
    },
    edit(text) {
      files = filesOf(text)
      const brought = files
      server.objects.putConfigMap(configMap, { data: { 'rules.yaml': text } }, new Date(clock.date()))
      for (const agent of agents) clock.after(49_000 + 30_000 * random(), () => agent.mount(brought))
    },
    isConverged() {
      const hash = hashOf(files)
      const fallen = agents.find((agent) => agent.state() === 'RolledBack')
      if (fallen !== undefined) throw new Error(`${fallen.name} has rolled a change back`)
      return (
        agents.length === size &&
        agents.every((agent) => agent.ruleset() === hash && agent.state() === 'Enforcing')
      )
    },
    async close() {
      ended.abort()
      await Promise.all(agents.map(async (agent) => agent.stop()))
      await server.close()
      clock.stop()
    },
  }
}

function putObjects(server: ApiServer, names: readonly string[], own: readonly string[]): void {
  for (const name of names) server.createNode(name, { pool: 'web' }, {}, { podCIDRs: ['10.244.1.0/24'] })
  for (const name of own) server.objects.createPod('node-firewall', name, name)
  const { slices } = server
  slices.put({
    namespace: 'default',
    name: 'kubernetes',
    service: 'kubernetes',
    addresses: ['192.0.2.1'],
    port: 443,
  })
  for (let start = 0; start < own.length; start += sliceSize) {
    const part = own.slice(start, start + sliceSize)
    slices.put({
      namespace: 'node-firewall',
      name: `agents-${start}`,
      service: 'node-firewall',
      addresses: part.map((_, index) => `10.0.${start / sliceSize}.${index + 1}`),
      nodes: part.map((name) => ({ name, ready: true })),
    })
  }
  // By the number of slices in it the agents tell how large the cluster is.
  const slicesOfAll = Math.ceil(names.length / sliceSize)
  for (let index = Math.ceil(own.length / sliceSize); index < slicesOfAll; index += 1)
    slices.put({ namespace: 'node-firewall', name: `others-${index}`, service: 'others', addresses: [] })
  server.objects.createService('kube-system', 'kube-dns', ['10.96.0.10'])
}

/** The kubelet tells that the node is well, which every watch of the Node brings. */
function beat({ store }: ApiServer, name: string, at: number): void {
  const node = store.get(NODES, undefined, name)
  if (node !== undefined) store.replace(NODES, { ...node, status: { lastHeartbeatTime: at } })
}

function filesOf(ruleset: string): readonly SourceFile[] {
  return [{ path: `${folder}/rules.yaml`, bytes: Buffer.from(ruleset) }]
}

function hashOf(files: readonly SourceFile[]): string {
  return hashRulesets(parseRulesets(files).rulesets)
}
