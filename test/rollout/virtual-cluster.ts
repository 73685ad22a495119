import { OutsideError } from '../../agent/errors.ts'
import type { Peer, PeerNode } from '../../agent/rollout/peer.ts'
import type { VirtualTime } from './virtual-time.ts'

/**
 * The API server as agents see it: it takes its time, is away for a while, answers from a cache that is up to 2 s old,
 * may carry out a write and lose the answer, and hears late of nodes that are not ready.
 */
export type VirtualCluster = {
  readonly add: (name: string, labels?: PeerNode['labels']) => void
  /** The Node is deleted, and its pods with it. */
  readonly remove: (name: string) => void
  readonly has: (name: string) => boolean
  /** Whether the pod of the agent is ready, as the kubelet would say. */
  readonly setReady: (name: string, ready: boolean) => void
  /** While a node is cut off nothing gets through, and after 40 s it is not ready. */
  readonly setCutOff: (name: string, isCutOff: boolean) => void
  readonly isAway: () => boolean
  readonly setAway: (isAway: boolean) => void
  readonly annotations: (name: string) => Readonly<Record<string, string>>
  /** What `name` would get to see. */
  readonly read: (by: string, name: string, how: 'cached' | 'latest') => Promise<PeerNode | 'gone'>
  readonly patch: (by: string, annotations: Readonly<Record<string, string>>) => Promise<void>
  readonly list: (by: string) => Promise<readonly Peer[]>
  /** The agents as the last look of this node found them, 20 to 40 s apart; who has vanished stays for 10 minutes. */
  readonly known: (by: string) => readonly Peer[] | undefined
  /** Requests of rollouts by virtual second. */
  readonly requests: Map<number, number>
}

type Entry = {
  readonly labels: PeerNode['labels']
  /** The newest last. */
  readonly history: { readonly at: number; readonly annotations: Readonly<Record<string, string>> }[]
  ready: boolean
  cutOffSince: number | undefined
  readonly lookMs: number
  readonly phaseMs: number
}

const lingerMs = 600_000
const notReadyAfterMs = 40_000
const snapshotMs = 5_000

export function createVirtualCluster(time: VirtualTime, random: () => number): VirtualCluster {
  const nodes = new Map<string, Entry>()
  const gone = new Map<string, number>()
  const snapshots: (readonly Peer[])[] = []
  const requests = new Map<number, number>()
  let away = false

  const entryOf = (name: string) => {
    const entry = nodes.get(name)
    if (entry === undefined) throw new OutsideError(`no node ${name}`)
    return entry
  }
  const isReady = ({ ready, cutOffSince }: Entry) =>
    ready && (cutOffSince === undefined || time.now() - cutOffSince < notReadyAfterMs)
  const agents = () => [...nodes].map(([name, entry]): Peer => ({ name, ready: isReady(entry) }))
  const takeSnapshot = () => {
    const lingering = [...gone].filter(([name, at]) => !nodes.has(name) && time.now() - at < lingerMs)
    const next = [...agents(), ...lingering.map(([name]): Peer => ({ name, ready: false }))]
    const last = snapshots.at(-1)
    const isSame =
      last?.length === next.length &&
      next.every(({ name, ready }, index) => name === last[index]?.name && ready === last[index].ready)
    snapshots.push(isSame ? last : next)
    time.at(time.now() + snapshotMs, takeSnapshot)
  }
  takeSnapshot()

  const reach = (by: string) => {
    if (away || nodes.get(by)?.cutOffSince !== undefined) throw new OutsideError('no connection')
  }
  /** A request that takes 10 to 60 ms; its effect is in the middle. */
  const request = async <T>(by: string, effect: () => T): Promise<T> => {
    const second = Math.floor(time.now() / 1000)
    requests.set(second, (requests.get(second) ?? 0) + 1)
    await time.wait(5 + 25 * random())
    const isCut = away || nodes.get(by)?.cutOffSince !== undefined
    if (isCut) await time.wait(2000)
    reach(by)
    const value = effect()
    await time.wait(5 + 25 * random())
    reach(by)
    return value
  }
  return {
    add(name, labels = {}) {
      const [lookMs, phaseMs] = [20_000 + 20_000 * random(), 40_000 * random()]
      const history = [{ at: time.now(), annotations: {} }]
      nodes.set(name, { labels, history, ready: true, cutOffSince: undefined, lookMs, phaseMs })
    },
    remove(name) {
      nodes.delete(name)
      gone.set(name, time.now())
    },
    has: (name) => nodes.has(name),
    setReady(name, ready) {
      const entry = nodes.get(name)
      if (entry !== undefined) entry.ready = ready
    },
    setCutOff(name, isCutOff) {
      const entry = nodes.get(name)
      if (entry !== undefined) entry.cutOffSince = isCutOff ? time.now() : undefined
    },
    isAway: () => away,
    setAway: (isAway) => void (away = isAway),
    annotations: (name) => nodes.get(name)?.history.at(-1)?.annotations ?? {},
    read: async (by, name, how) =>
      request(by, () => {
        const entry = nodes.get(name)
        if (entry === undefined) return 'gone'
        const asOf = how === 'latest' ? time.now() : time.now() - 2000 * random()
        const seen = entry.history.findLast(({ at }) => at <= asOf) ?? entry.history[0]
        return { labels: entry.labels, annotations: seen?.annotations ?? {} }
      }),
    patch: async (by, annotations) =>
      request(by, () => {
        const { history } = entryOf(by)
        history.push({ at: time.now(), annotations: { ...history.at(-1)?.annotations, ...annotations } })
      }),
    list: async (by) => request(by, agents),
    known(by) {
      const { lookMs, phaseMs } = entryOf(by)
      const lookedAt = time.now() - ((time.now() + phaseMs) % lookMs)
      return snapshots[Math.max(0, Math.floor(lookedAt / snapshotMs))]
    },
    requests,
  }
}
