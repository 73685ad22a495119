import { randomUUID } from 'node:crypto'
import type { Identity } from './access-control.ts'
import type { Backend } from './backend.ts'
import type { Kubelet } from './call.ts'
import { readPolicies } from './manifest-policies.ts'
import { patchObject } from './patch.ts'
import { route } from './routes.ts'
import { createStore } from './store.ts'
import type { StartTimer } from './watch.ts'

/** A kube-apiserver as far as the agent knows it, in memory, with the policies of manifests/base in force. */
export function createModel(options: ModelOptions): Backend {
  const { futureWaitMs = 3000, bookmarkEveryMs = 60_000, timer = startTimer } = options
  const store = createStore()
  for (const { resource, draft } of readPolicies()) store.create(resource, draft)
  const tokens = new Map<string, Identity>()
  const kubelet: Kubelet = { log: 'in sync\n', dialTimeoutMs: 30_000 }
  const world = { store, tokens, futureWaitMs, bookmarkEveryMs, kubelet, timer }
  return {
    store,
    patch(resource, object, patch) {
      const text = JSON.stringify(patch)
      store.replace(resource, patchObject(resource, object, 'application/merge-patch+json', text))
    },
    kubelet,
    answer: async (call) => await route(world, call),
    createToken(identity) {
      const token = `token-${randomUUID()}`
      tokens.set(token, identity)
      return token
    },
    revokeToken: (token) => void tokens.delete(token),
    close: async () => {},
  }
}

export type ModelOptions = {
  readonly futureWaitMs?: number
  readonly bookmarkEveryMs?: number
  readonly timer?: StartTimer
}

function startTimer(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
