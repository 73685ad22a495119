import type { ApiServer } from '../../cluster/api-server.ts'
import type { Resource } from '../../cluster/api-server/resources.ts'
import { apiServerPort, controlPlaneAddress } from './addresses.ts'

const SERVICES: Resource = {
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
  zero: { spec: {} },
}

/** The Services that every cluster has, and where they lead. */
export function putServices({ store, slices }: Pick<ApiServer, 'store' | 'slices'>): void {
  const { service, endpoint, dns, dnsPod } = controlPlaneAddress
  const both = [
    { namespace: 'default', name: 'kubernetes', address: service, endpoint, port: apiServerPort },
    { namespace: 'kube-system', name: 'kube-dns', address: dns, endpoint: dnsPod, port: 53 },
  ]
  for (const { namespace, name, address, endpoint: target, port } of both) {
    const clusterIPs = [address.ipv4, address.ipv6]
    store.create(SERVICES, { metadata: { namespace, name }, spec: { clusterIP: clusterIPs[0], clusterIPs } })
    for (const addressType of ['IPv4', 'IPv6'] as const) {
      const addresses = [addressType === 'IPv4' ? target.ipv4 : target.ipv6]
      const slice = `${name}-${addressType.toLowerCase()}`
      slices.put({ namespace, name: slice, service: name, addressType, addresses, port })
    }
  }
}
