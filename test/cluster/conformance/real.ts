import { agentOn } from '../api-server/agent-identity.ts'
import { createRights } from '../real/rights.ts'
import { startKubeApiServer } from '../real/processes.ts'
import { createObject, createSyncClient } from '../real/sync-client.ts'
import { createHttp } from './http-client.ts'
import { AGENT_NODE, NARROW, USERS } from './target.ts'
import type { ConformanceTarget } from './target.ts'

/** Starts `etcd` and `kube-apiserver` from `binaries`, on loopback, with the users of the suite. */
export async function startReal(binaries: string): Promise<ConformanceTarget> {
  const server = await startKubeApiServer(binaries)
  const { url, caFile, adminToken, version } = server
  const admin = await createSyncClient(url, caFile, adminToken)
  const rights = createRights(admin, adminToken)
  rights.applyManifests(version)
  createObject(admin, '/api/v1/nodes', { metadata: { name: AGENT_NODE } })
  const away = async (meanwhile: () => Promise<void>) => {
    await server.kill()
    await meanwhile()
    await server.start()
  }
  return {
    http: createHttp(url, caFile),
    url,
    caFile,
    version,
    tokens: {
      admin: adminToken,
      agent: rights.createToken(agentOn(AGENT_NODE)),
      unbound: rights.createToken(agentOn(undefined)),
      narrow: rights.createToken({ user: USERS.narrow, rules: [NARROW] }),
      nobody: rights.createToken({ user: USERS.nobody, rules: [] }),
    },
    async forget() {
      // The list's version is the counter of etcd; the server's memory of changes begins with its start.
      const { body } = admin.call('GET', '/api/v1/namespaces?limit=1')
      await server.compact(Number(body.metadata?.resourceVersion))
      await away(async () => {})
    },
    away,
    createToken: () => rights.createEndingToken(),
    async stop() {
      await admin.close()
      await server.stop()
    },
  }
}
