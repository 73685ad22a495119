import { connectClient } from './api-client.ts'
import type { ConnectOptions } from './api-client.ts'
import type { ApiError } from './api-error.ts'
import { realClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { countNodes } from './count-nodes.ts'
import { createConfigMapFollower } from './follow-config-map.ts'
import type { ReadConfigMap } from './follow-config-map.ts'

export type ConfigMapsOptions = ConnectOptions & {
  readonly namespace: string
  /** In the order in which a projected volume lists them: of a key that several have, the last one counts. */
  readonly names: readonly string[]
  readonly clock?: Clock
}

export type ConfigMapsHandlers = {
  /** All of them were read once, and then whenever one is read. */
  readonly onRead: (read: ReadConfigMaps) => void
  /** A look, or a read of what the watch told of, came to nothing; each time. */
  readonly onMiss: () => void
  /** Any attempt that came to nothing, once per change of kind. What was read before stays. */
  readonly onError: (error: ApiError) => void
}

export type ReadConfigMaps = {
  /** The bytes of each key. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  /** Names of those that are not there. */
  readonly missing: readonly string[]
  /** When the last of them was changed, in ms since the epoch, by the clock of the API server; absent: unknown. */
  readonly changedAt?: number
  /** Nothing came between what was read before and this. */
  readonly follows: boolean
  /** It is at least as new as whatever was written before this moment of the clock; 0: that is not known. */
  readonly asOf: number
}

/** ConfigMaps of one namespace as the API shows them, which is a minute before the kubelet mounts them. */
export type ConfigMaps = {
  /** Until `signal` aborts. */
  readonly run: (handlers: ConfigMapsHandlers, signal: AbortSignal) => Promise<void>
  /** Asks for the newest of all, at once, and until there is an answer. */
  readonly look: () => void
  /** The time by which `asOf` counts, in ms. */
  readonly now: () => number
}

/** A Role with `resourceNames` admits a list or watch of one object by name only, so each has a watch of its own. */
export function connectConfigMaps(options: ConfigMapsOptions): ConfigMaps {
  const { namespace, names, clock = realClock } = options
  const client = connectClient(options)
  let looks: (() => void)[] = []
  return {
    look() {
      for (const look of looks) look()
    },
    now: clock.now,
    async run({ onRead, onMiss, onError }, signal) {
      let nodes = assumedNodes
      const count = async () => {
        await clock.wait(countAfterMs * (1 + clock.random()), signal)
        if (signal.aborted) return
        nodes = (await countNodes(client, namespace, signal)) ?? nodes
      }
      const latest = new Map<string, ReadConfigMap>()
      const see = (name: string, read: ReadConfigMap) => {
        const asOf = Math.max(read.asOf, latest.get(name)?.asOf ?? 0)
        latest.set(name, { ...read, asOf })
        // For the next edit.
        if (!read.isKnown) void count()
        if (latest.size === new Set(names).size) onRead(together(names, latest, read))
      }
      const followers = names.map((name) => {
        const handlers = { onRead: (read: ReadConfigMap) => see(name, read), onMiss, onError }
        return createConfigMapFollower(client, { namespace, name }, handlers, { clock, nodes: () => nodes })
      })
      looks = followers.map(({ look }) => look)
      await Promise.all(followers.map(async ({ run }) => run(signal)))
    },
  }
}

/** Nodes are counted so much later at the earliest, and at most twice that: what was just read is put in force first. */
export const countAfterMs = 2_000

/** Where they cannot be counted. */
const assumedNodes = 1_000

function together(
  names: readonly string[],
  latest: ReadonlyMap<string, ReadConfigMap>,
  { follows }: ReadConfigMap,
): ReadConfigMaps {
  const all = names.flatMap((name) => latest.get(name) ?? [])
  const changes = all.flatMap(({ map }) => map.changedAt ?? [])
  return {
    ...(changes.length === names.length ? { changedAt: Math.max(...changes) } : {}),
    keys: new Map(all.flatMap(({ map }) => [...(map.keys ?? [])])),
    missing: names.filter((name) => latest.get(name)?.map.keys === undefined),
    // The kubelet may mount an edit of one before an earlier edit of another.
    follows: follows && names.length === 1,
    asOf: Math.min(...all.map(({ asOf }) => asOf)),
  }
}
