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
  const read = async (signal: AbortSignal) =>
    void (await inTime(request, client.text(request, signal), signal))
  return { name: 'kubelet log', before: read, after: read }
}
