import type { Probe } from '../probes/probe.ts'
import { connectClient } from './api-client.ts'
import { inTime } from './in-time.ts'
import type { OwnNodeOptions } from './own-node.ts'
import type { ApiRequest } from './send.ts'

export type KubeletLogOptions = OwnNodeOptions & { readonly namespace: string; readonly podName: string }

/**
 * The API server reaches the kubelet: for the log of a pod it opens a connection to the kubelet's port on the node
 * and passes on what it hears. What the log says does not matter; one byte of it is asked for.
 */
export function kubeletLogProbe(options: KubeletLogOptions): Probe {
  const client = connectClient(options)
  const request: ApiRequest = {
    method: 'GET',
    path: `/api/v1/namespaces/${options.namespace}/pods/${options.podName}/log`,
    query: { container: 'agent', tailLines: '1', limitBytes: '1' },
    accept: '*/*',
  }
  // The API server keeps its connections to kubelets, and those that skip the check of the certificate apart: what
  // passes on a connection of before the change proves nothing. Nothing that is secret is asked for.
  const fresh = { ...request, query: { ...request.query, insecureSkipTLSVerifyBackend: 'true' } }
  const read = async (asked: ApiRequest, signal: AbortSignal) =>
    void (await inTime(asked, client.text(asked, signal), signal))
  return {
    name: 'kubelet log',
    before: async (signal) => read(request, signal),
    after: async (signal) => read(fresh, signal),
  }
}
