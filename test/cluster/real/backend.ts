import { randomUUID } from 'node:crypto'
import type { Backend } from '../api-server/backend.ts'
import type { Call, Kubelet, Reply } from '../api-server/call.ts'
import { createCredentialFiles } from '../api-server/credentials.ts'
import * as resources from '../api-server/resources.ts'
import { expired } from '../api-server/statuses.ts'
import { createForward, isWatch } from './forward.ts'
import { startKubelet } from './kubelet.ts'
import { startKubeApiServer } from './processes.ts'
import { createRights } from './rights.ts'
import { createRealStore } from './store.ts'
import type { RealStore } from './store.ts'
import { createSyncClient } from './sync-client.ts'

/** A kube-apiserver that backends use one after the other; what they leave behind is gone for the next one. */
export type RealServer = { readonly open: () => Backend; readonly stop: () => Promise<void> }

export async function startRealServer(binaries: string): Promise<RealServer> {
  const server = await startKubeApiServer(binaries)
  const { url, caFile, adminToken } = server
  const admin = await createSyncClient(url, caFile, adminToken)
  const rights = createRights(admin, adminToken)
  rights.applyManifests(server.version)
  const kubelet: Kubelet = { log: '', dialTimeoutMs: 30_000 }
  const files = await createCredentialFiles()
  const logs = await startKubelet(files.key, files.certificate, kubelet)
  const store = createRealStore(admin, {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: logs.port } },
  })
  const { forward, close } = createForward(url, caFile)
  let isOpen = false

  return {
    open() {
      if (isOpen) throw new Error('a real server is there once: a second one needs the model')
      isOpen = true
      kubelet.log = 'in sync\n'
      const revoked = new Set<string>()
      let compaction = Promise.resolve()
      const compact = () => {
        store.compact()
        compaction = server.compact(store.floor())
      }
      return {
        store: { ...store, compact },
        patch: (resource, object, patch) => store.patch(resource, object, patch),
        kubelet,
        async answer(call) {
          await compaction
          return forgotten(store, call) ?? (await forward(withoutRevoked(revoked, call)))
        },
        createToken: (identity) => rights.createToken(identity),
        revokeToken: (token) => void revoked.add(token),
        async close() {
          isOpen = false
          tidyUp(store)
        },
      }
    },
    async stop() {
      close()
      logs.close()
      await admin.close()
      await files.remove()
      await server.stop()
    },
  }
}

/** The server takes a token for good up to 10 s after its end; so it gets to see one that never was. */
function withoutRevoked(revoked: ReadonlySet<string>, call: Call): Call {
  const { authorization } = call.headers
  if (typeof authorization !== 'string' || !revoked.has(authorization.replace(/^Bearer /, ''))) return call
  return { ...call, headers: { ...call.headers, authorization: `Bearer ${randomUUID()}` } }
}

/** What a server says to a watch from a version that it no longer knows. */
function forgotten(store: RealStore, call: Call): Reply | undefined {
  const version = Number(call.query.get('resourceVersion') ?? '0')
  if (version === 0 || version >= store.floor() || !isWatch(call)) return undefined
  const object = expired(`too old resource version: ${version} (${store.floor()})`)
  return {
    code: 200,
    stream(sink) {
      sink.write(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      sink.end()
      return { sendBookmark() {}, end() {}, close() {} }
    },
  }
}

function tidyUp(store: RealStore): void {
  const { PODS, NODES, CONFIG_MAPS, ENDPOINT_SLICES, EVENTS, LEASES, SERVICES } = resources
  for (const [resource, namespace] of [
    [PODS, 'node-firewall'],
    [NODES, undefined],
    [CONFIG_MAPS, 'node-firewall'],
    [ENDPOINT_SLICES, 'node-firewall'],
    [ENDPOINT_SLICES, 'default'],
    [ENDPOINT_SLICES, 'kube-system'],
    [EVENTS, 'default'],
    [LEASES, 'kube-node-lease'],
  ] as const) {
    store.empty(resource, namespace)
  }
  const dns = store.get(SERVICES, 'kube-system', 'kube-dns')
  if (dns !== undefined) store.remove(SERVICES, dns)
}
