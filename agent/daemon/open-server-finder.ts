import { setTimeout as pause } from 'node:timers/promises'
import { isExpected } from '../errors.ts'
import type { Exec, TargetPid } from '../host/exec.ts'
import { readHeld } from '../host/held-connections.ts'
import { findKubelet, isStillKubelet, readKubeletSettings } from '../host/kubelet.ts'
import type { Kubelet } from '../host/kubelet.ts'
import { readServerFile, writeServerFile } from '../host/server-file.ts'
import type { ServerEndpoint } from '../policy/policy.ts'
import { lookUp } from '../probes/look-up.ts'
import type { Effects } from '../pass.ts'
import { createServerFinder } from './server-finder.ts'
import type { FindServers, ServedBy } from './server-finder.ts'

export type ServerFinderOptions = {
  readonly exec: Exec
  readonly targetPid: TargetPid
  /** Folder on the host for what outlives the agent; absent: nothing does. */
  readonly stateDir: string | undefined
  /** Nothing is written there. */
  readonly dryRun: boolean
  readonly ownServer: (() => Promise<URL>) | undefined
  /** What was found could not be kept. */
  readonly onError: (error: Error) => void
}

const lookUpMs = 5_000

/** Finds the API server on a real node. */
export function openServerFinder(options: ServerFinderOptions): FindServers {
  const { exec, targetPid, stateDir, dryRun, ownServer, onError } = options
  return createServerFinder({
    readKubelet: createKubeletReader(targetPid),
    ownServer,
    async lookUp(host) {
      const found = await lookUp(host, lookUpMs, AbortSignal.timeout(lookUpMs))
      return found.map(({ address }) => address)
    },
    readHeld: async (pid, port) => readHeld(exec, pid, port),
    read: async () => (stateDir === undefined ? undefined : readServerFile(stateDir)),
    async save(servers) {
      if (stateDir === undefined || dryRun) return
      await writeServerFile(stateDir, servers).catch((error: unknown) => {
        if (!isExpected(error)) throw error
        onError(error)
      })
    },
    wait: async (ms) => pause(ms, undefined, { ref: false }),
    now: Date.now,
    elapsedMs: () => performance.now(),
  })
}

/** Adds them to the facts of a node. */
export function withServers(readFacts: Effects['readFacts'], find: FindServers): Effects['readFacts'] {
  return async (thorough) => {
    const [facts, servers] = await Promise.all([readFacts(thorough), find(thorough)])
    return servers.length === 0 ? facts : { ...facts, servers }
  }
}

/**
 * For commands beside an agent: what it has kept, since that is what its rules are made of; where none has kept
 * anything, what is to be found now.
 */
export async function findServersOnce(
  exec: Exec,
  targetPid: TargetPid,
  stateDir: string | undefined,
): Promise<readonly ServerEndpoint[]> {
  const kept = stateDir === undefined ? undefined : await readServerFile(stateDir)
  if (kept !== undefined) return kept.map(({ address, port, of }) => ({ address, port, of }))
  const setting = { stateDir: undefined, dryRun: true, ownServer: undefined, onError: () => {} }
  return openServerFinder({ exec, targetPid, ...setting })(true)
}

/** All processes are looked at only now and then; its kubeconfig each time. */
function createKubeletReader(targetPid: TargetPid): (thorough: boolean) => Promise<ServedBy | undefined> {
  let known: Kubelet | undefined
  return async (thorough) => {
    const isGone = known !== undefined && !(await isStillKubelet(known))
    if (thorough || isGone) known = await findKubelet(targetPid).catch(() => undefined)
    if (known === undefined) return undefined
    const { server } = await readKubeletSettings(known)
    return { pid: known.pid, ...(server === undefined ? {} : { server }) }
  }
}
