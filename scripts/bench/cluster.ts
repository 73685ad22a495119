import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { startApiServer } from '../../test/cluster/api-server.ts'
import type { ApiServer } from '../../test/cluster/api-server.ts'
import { answerQuery } from '../../test/sandbox/control-plane/dns-answer.ts'
import { nodeAddress } from '../../test/sandbox/sandbox.ts'
import type { AgentProcessOptions } from './agent-process.ts'

/** A cluster of one node: the small API server of the tests, in this process. */
export type Cluster = Required<Pick<AgentProcessOptions, 'cluster'>> & { readonly server: ApiServer }

export const nodeName = 'bench'
export const configMapName = 'node-firewall-rules'

/** Of loopback, and nobody else's. */
const dnsAddress = '127.53.0.1'

export type ClusterOptions = {
  /** The ruleset in its ConfigMap. */
  readonly text: string
  /** How often the kubelet renews its Lease. */
  readonly leaseEveryMs: number
}

/** Runs with a cluster of its own. */
export async function withCluster<T>(
  { text, leaseEveryMs }: ClusterOptions,
  use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const server = await startApiServer({ node: nodeName })
  server.createNode(nodeName, {}, {}, { podCIDRs: ['10.244.1.0/24'] })
  const slices = [
    { namespace: 'default', name: 'kubernetes', service: 'kubernetes', addresses: ['192.0.2.1'], port: 443 },
    { namespace: 'node-firewall', name: 'agents', service: 'node-firewall', addresses: [nodeAddress.ipv4] },
  ]
  for (const slice of slices) server.slices.put(slice)
  server.objects.putConfigMap(configMapName, { data: { 'bench.yaml': text } })
  // Without any DNS it is looked for with each edit.
  server.objects.createService('kube-system', 'kube-dns', [dnsAddress])
  const dns = createSocket('udp4')
  dns.on('message', (query, { port, address }) => {
    dns.send(answerQuery(query, new Map(), 'answers'), port, address)
  })
  dns.bind(53, dnsAddress)
  await once(dns, 'listening')
  const kubelet = setInterval(() => server.objects.renewLease(nodeName, { seconds: 1 }), leaseEveryMs)
  try {
    const cluster = { node: nodeName, configMap: configMapName, server }
    return await use({ server, cluster })
  } finally {
    clearInterval(kubelet)
    dns.close()
    await server.close()
  }
}
