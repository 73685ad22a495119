import type { Identity, Rule } from './api-server/access-control.ts'
import { AGENT_RULES, agentOn } from './api-server/agent-identity.ts'
import type { Backend } from './api-server/backend.ts'
import type { Kubelet } from './api-server/call.ts'
import { createClusterObjects } from './api-server/cluster-objects.ts'
import type { ClusterObjects } from './api-server/cluster-objects.ts'
import { createCredentialFiles } from './api-server/credentials.ts'
import { createFaultQueue } from './api-server/faults.ts'
import type { Fault } from './api-server/faults.ts'
import { createFront } from './api-server/front.ts'
import type { Logged, Traffic } from './api-server/front.ts'
import { createModel } from './api-server/model.ts'
import { NODES } from './api-server/resources.ts'
import { createSlices } from './api-server/slices.ts'
import type { Slices } from './api-server/slices.ts'
import type { Store, Stored } from './api-server/store.ts'
import type { StartTimer } from './api-server/watch.ts'

/**
 * A small API server over TLS, on loopback unless it is told otherwise, which behaves as a real one does in what the
 * agent relies on.
 *
 * It keeps Nodes, Pods with their logs, ConfigMaps, Services, EndpointSlices, Leases and Events, and what an uninstall
 * takes down. The agent has the rights of manifests/base, and writes go by the policies there. It does not know: managedFields, apply patches, PUT, defaults and validation of anything but annotations,
 * list directives of strategic merge patches, lists of an older version.
 */
export type ApiServer = {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly caFile: string
  readonly kubeconfigFile: string
  readonly serviceAccountDir: string
  readonly store: Store
  /** Every request, in order. */
  readonly requests: Logged[]
  readonly faults: Faults
  readonly createNode: (
    name: string,
    labels?: Record<string, string>,
    annotations?: Record<string, string>,
    spec?: Record<string, unknown>,
  ) => Stored
  readonly getNode: (name: string) => Stored
  /** Changes labels or annotations of a Node from the outside; null removes. */
  readonly changeNode: (name: string, change: { labels?: Changes; annotations?: Changes }) => void
  readonly deleteNode: (name: string) => void
  readonly slices: Slices
  readonly objects: ClusterObjects
  readonly kubelet: Kubelet
  readonly openWatches: () => number
  readonly traffic: () => Traffic
  readonly sendBookmarks: () => void
  readonly createToken: (identity: Identity) => string
  readonly revokeToken: (token: string) => void
  /** The kubelet writes a new token, with other rights if some are named; the old one is good no longer. */
  readonly rotateToken: (rules?: readonly Rule[]) => Promise<void>
  readonly close: () => Promise<void>
}

type Changes = Readonly<Record<string, string | null>>

export type Faults = {
  /** The next requests get this answer, whoever asks. */
  readonly answerNext: (times: number, fault: Fault) => void
  /** All requests get this answer, until `forget`. */
  readonly answerAll: (fault: Fault) => void
  /** No more of these. */
  readonly forget: () => void
  readonly refuseConnections: () => void
  readonly acceptConnections: () => Promise<void>
  /** All open watches end in order, as after their `timeoutSeconds`. */
  readonly endWatches: () => void
  /** The connections of all open watches end without the last chunk. */
  readonly cutWatches: () => void
  /** All connections that are open end at once; new ones are accepted. */
  readonly cutConnections: () => void
  /** Nothing gets through, on old connections and new ones, until `speak`. */
  readonly goSilent: () => void
  readonly speak: () => void
  /** Forgets all changes so far: watches from before are 410 Expired. */
  readonly compact: () => void
  /** Refuses connections, cuts those that are open, and forgets; comes back with `acceptConnections`. */
  readonly stop: () => void
}

export type ApiServerOptions = {
  /** Address to listen on: loopback of IPv4. */
  readonly host?: string
  /** The kernel chooses one. */
  readonly port?: number
  /** Those that clients may know it by, besides loopback's. */
  readonly addresses?: readonly string[]
  readonly rules?: readonly Rule[]
  /** The Node that the agent's pod runs on, as its token says; without it the agent writes nothing. */
  readonly node?: string
  readonly futureWaitMs?: number
  readonly bookmarkEveryMs?: number
  /** What watches go by, and what requests are noted with: the clock of the machine. */
  readonly timer?: StartTimer
  readonly now?: () => number
}

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  return await serve(createModel(options), options)
}

/** Puts a front with faults before what decides on answers. */
export async function serve(backend: Backend, options: ApiServerOptions): Promise<ApiServer> {
  const { host = '127.0.0.1', rules = AGENT_RULES, now = () => performance.now() } = options
  const files = await createCredentialFiles(options.addresses)
  const queue = createFaultQueue()
  const { store, kubelet, answer, createToken } = backend
  const { key, certificate } = files
  const front = createFront({ answer, faults: queue, host, port: options.port ?? 0, key, certificate, now })
  const port = await front.listen()
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`

  let agentToken = ''
  const giveToken = async (rights = rules) => {
    backend.revokeToken(agentToken)
    agentToken = createToken(agentOn(options.node, rights))
    await files.writeToken(agentToken)
    await files.writeKubeconfig(url, agentToken)
  }
  await giveToken()

  const getNode = (name: string) => {
    const node = store.get(NODES, undefined, name)
    if (node === undefined) throw new Error(`the test asks for a Node that is not there: ${name}`)
    return node
  }

  return {
    url,
    host,
    port,
    store,
    requests: front.requests,
    createToken,
    revokeToken: backend.revokeToken,
    getNode,
    rotateToken: giveToken,
    caFile: files.caFile,
    kubeconfigFile: files.kubeconfigFile,
    serviceAccountDir: files.serviceAccountDir,
    faults: {
      answerNext: (times, fault) => queue.answerNext(times, fault),
      answerAll: (fault) => queue.answerAll(fault),
      forget: () => queue.forget(),
      refuseConnections: () => front.refuse(),
      acceptConnections: async () => void (await front.listen()),
      endWatches() {
        for (const watch of front.watches.values()) watch.end()
      },
      cutWatches: () => front.cutWatches(),
      cutConnections: () => front.cutConnections(),
      goSilent: () => front.silence.begin(),
      speak: () => front.silence.end(),
      compact: () => store.compact(),
      stop() {
        front.refuse()
        front.cutWatches()
        store.compact()
      },
    },
    createNode: (name, labels = {}, annotations = {}, spec = {}) =>
      store.create(NODES, { metadata: { name, labels, annotations }, spec, status: {} }),
    changeNode: (name, change) => backend.patch(NODES, getNode(name), { metadata: change }),
    deleteNode: (name) => void store.remove(NODES, getNode(name)),
    slices: createSlices(store),
    objects: createClusterObjects(store),
    kubelet,
    openWatches: () => front.watches.size,
    traffic: front.traffic,
    sendBookmarks() {
      for (const watch of front.watches.values()) watch.sendBookmark()
    },
    async close() {
      await front.close()
      await backend.close()
      await files.remove()
    },
  }
}
