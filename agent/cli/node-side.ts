import { hostname } from 'node:os'
import { connectClient } from '../cluster/api-client.ts'
import type { ApiClient } from '../cluster/api-client.ts'
import { findAccess } from '../cluster/access.ts'
import { connectOwnNode } from '../cluster/own-node.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import type { Labels } from '../ruleset/select.ts'
import { UsageError } from './usage-error.ts'

export type NodeFlags = { readonly node?: string; readonly standalone?: boolean }

/**
 * The Node that the flags name, or for a host in no cluster its labels.
 *
 * @throws {UsageError} when they name neither
 */
export function nodeOf({ node, standalone }: NodeFlags): OwnNode | { readonly labels: Labels } {
  if (standalone === true) return { labels: hostLabels(node) }
  if (node !== undefined) return connect(node)
  throw new UsageError(
    'give --node NAME, the name of the Node that this is, or --standalone for a host in no cluster',
  )
}

/** Speaks to the API server that the pod, or else the kubeconfig of the user, names. */
export function clientFor(): ApiClient {
  return connectClient({ getAccess: findAccess(process.env) })
}

/** The Node of this name, as the pod, or else the kubeconfig of the user, finds it. */
export function connect(nodeName: string): OwnNode {
  return connectOwnNode({ nodeName, getAccess: findAccess(process.env) })
}

/** The labels a kubelet would give this host, so that a nodeSelector can name it. */
function hostLabels(name: string = hostname()): Labels {
  return { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': architecture() }
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}
