import type { Probe } from '../probes/probe.ts'
import { apiServerProbe } from './api-server.ts'
import { leaseProbe } from './lease.ts'
import type { OwnNodeOptions } from './own-node.ts'
import { kubeletLogProbe } from './pod-log.ts'

export type ClusterProbesOptions = OwnNodeOptions & {
  /** The agent's own namespace. */
  readonly namespace: string
  /** The agent's own pod; without it nobody can be asked for a log, and the kubelet stays unprobed. */
  readonly podName?: string | undefined
}

/**
 * What makes a node part of its cluster: it reaches the API server, its kubelet does, and the API server reaches its
 * kubelet. One set serves one trial: the probes remember what they saw first.
 */
export function createClusterProbes(options: ClusterProbesOptions): readonly Probe[] {
  const { podName } = options
  const probes = [apiServerProbe(options), leaseProbe(options)]
  return podName === undefined ? probes : [...probes, kubeletLogProbe({ ...options, podName })]
}
