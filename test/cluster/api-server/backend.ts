import type { Identity } from './access-control.ts'
import type { Call, Kubelet, Reply } from './call.ts'
import type { Resource } from './resources.ts'
import type { Store, Stored } from './store.ts'

/** What decides on answers behind the front: a model in memory, or a kube-apiserver. */
export type Backend = {
  readonly store: Store
  /** A merge patch by somebody else. */
  readonly patch: (resource: Resource, object: Stored, patch: object) => void
  readonly kubelet: Kubelet
  readonly answer: (call: Call) => Promise<Reply>
  readonly createToken: (identity: Identity) => string
  /** From now on it is a token that is none. */
  readonly revokeToken: (token: string) => void
  readonly close: () => Promise<void>
}
