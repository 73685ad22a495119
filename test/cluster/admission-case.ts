import type { Identity } from './api-server/access-control.ts'
import type { Write } from './api-server/admission.ts'
import { AGENT } from './api-server/agent-identity.ts'

/** A write, and with what words the policies of manifests/base refuse it; none: they do not. */
export type Case = { readonly name: string; readonly write: Write; readonly denied?: string }

export type Fields = Readonly<Record<string, unknown>>

/** The Node that the agent's pod is on. */
export const NODE = 'worker-1'

export const admin: Identity = { user: 'admin', rules: [] }
/** The agents' account, by a token that names no node. */
export const nowhere: Identity = { user: AGENT, rules: [] }

export const noNode = 'this token does not name the node of its pod (authentication.kubernetes.io/node-name)'
