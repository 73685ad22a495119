import type { ApiServer } from './api-server.ts'

/** A Node, and what an agent asks of a cluster, all of it there: nobody has to wait for what never comes. */
export function putOneNodeCluster({ createNode, slices, port }: ApiServer, node: string): void {
  createNode(node, {}, {}, { podCIDRs: ['10.244.1.0/24'] })
  slices.put({
    namespace: 'default',
    name: 'kubernetes',
    service: 'kubernetes',
    addresses: ['192.0.2.1'],
    port,
  })
  slices.put({
    namespace: 'node-firewall',
    name: 'agents',
    service: 'node-firewall',
    addresses: ['198.51.100.2'],
    nodes: [{ name: node, ready: true }],
  })
}
