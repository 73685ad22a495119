import type { ApiServer } from '../../cluster/api-server.ts'
import { podNetwork } from '../cluster-addresses.ts'
import { agentPod, apiServerPort, controlPlaneAddress, kubeletPort, nodeName } from './addresses.ts'

/** The Node with its agent's pod, and the Services that every cluster has with what they lead to. */
export function putObjects({ createNode, objects, slices }: ApiServer): void {
  createNode(nodeName, {}, {}, { podCIDRs: Object.values(podNetwork.node) })
  objects.setKubelet(nodeName, controlPlaneAddress.nodePrivate.ipv4, kubeletPort)
  const { namespace: own, name: pod } = agentPod
  objects.createPod(own, pod, nodeName)
  const addresses = [controlPlaneAddress.nodePrivate.ipv4]
  const nodes = [{ name: nodeName, ready: true }]
  slices.put({ namespace: own, name: 'agents', service: own, addressType: 'IPv4', addresses, nodes })
  const { service, endpoint, dns, dnsPod } = controlPlaneAddress
  const both = [
    { namespace: 'default', name: 'kubernetes', address: service, endpoint, port: apiServerPort },
    { namespace: 'kube-system', name: 'kube-dns', address: dns, endpoint: dnsPod, port: 53 },
  ]
  for (const { namespace, name, address, endpoint: target, port } of both) {
    objects.createService(namespace, name, [address.ipv4, address.ipv6])
    for (const addressType of ['IPv4', 'IPv6'] as const) {
      const addresses = [addressType === 'IPv4' ? target.ipv4 : target.ipv6]
      const slice = `${name}-${addressType.toLowerCase()}`
      slices.put({ namespace, name: slice, service: name, addressType, addresses, port })
    }
  }
}
