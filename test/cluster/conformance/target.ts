import { AGENT, agentOn } from '../api-server/agent-identity.ts'
import { NODES } from '../api-server/resources.ts'
import { startApiServer } from '../api-server.ts'
import type { Rule } from '../api-server/access-control.ts'
import type { Version } from '../real/processes.ts'
import { createHttp } from './http-client.ts'
import type { Http } from './http-client.ts'

/** A server that the conformance suite runs against. */
export type ConformanceTarget = {
  readonly http: Http
  readonly url: string
  readonly caFile: string
  /** Of a real server; the model is like the newest that the agent knows of. */
  readonly version?: Version
  readonly tokens: Record<'admin' | 'agent' | 'unbound' | 'narrow' | 'nobody', string>
  /** Makes all versions so far too old. */
  forget(): Promise<void>
  /** Goes away as in a crash, and comes back with all that it kept. */
  away(meanwhile: () => Promise<void>): Promise<void>
  /** Another token of the agent, and what ends it. */
  createToken(): { readonly token: string; readonly end: () => void }
  stop(): Promise<void>
}

export const USERS = {
  admin: 'admin',
  agent: AGENT,
  narrow: 'system:serviceaccount:node-firewall:narrow',
  nobody: 'system:serviceaccount:node-firewall:nobody',
} as const

/** The Node that the agent's pod is on. Its account has one more token, which is bound to no pod. */
export const AGENT_NODE = 'worker-1'

/** May see one ConfigMap, by name. */
export const NARROW: Rule = {
  verbs: ['get', 'list', 'watch'],
  resources: ['configmaps'],
  namespace: 'default',
  names: ['rulesets'],
}

export async function startFake(): Promise<ConformanceTarget> {
  const server = await startApiServer({ futureWaitMs: 1 })
  server.store.create(NODES, { metadata: { name: AGENT_NODE }, spec: {}, status: {} })
  const token = (user: string, rules: readonly Rule[]) => server.createToken({ user, rules })
  return {
    http: createHttp(server.url, server.caFile),
    url: server.url,
    caFile: server.caFile,
    tokens: {
      admin: token(USERS.admin, [{ verbs: ['*'], resources: ['*'] }]),
      agent: server.createToken(agentOn(AGENT_NODE)),
      unbound: server.createToken(agentOn(undefined)),
      narrow: token(USERS.narrow, [NARROW]),
      nobody: token(USERS.nobody, []),
    },
    forget: async () => server.faults.compact(),
    async away(meanwhile) {
      server.faults.stop()
      await meanwhile()
      await server.faults.acceptConnections()
    },
    createToken() {
      const ending = server.createToken(agentOn(AGENT_NODE))
      return { token: ending, end: () => server.revokeToken(ending) }
    },
    stop: () => server.close(),
  }
}
