import { isRecord } from './objects.ts'
import { CONFIG_MAPS, EVENTS, LEASES, NODES, PODS, SERVICES } from './resources.ts'
import type { Store, Stored } from './store.ts'

/** What kubelets, controllers and people put into a cluster around the agent. */
export type ClusterObjects = {
  /** As the kubelet does it, now unless another time is given, in the namespace kube-node-lease. */
  renewLease(node: string, renewal?: { at?: Date; seconds?: number }): void
  /** From now on the log of a pod on this node comes over a connection to this address. */
  setKubelet(node: string, address: string, port: number): void
  createPod(namespace: string, name: string, node: string): void
  createService(namespace: string, name: string, clusterIPs: readonly string[]): void
  /** Makes a ConfigMap in the agent's namespace, or replaces what is in the one of that name. */
  putConfigMap(name: string, content: ConfigMapContent, changedAt?: Date): void
  deleteConfigMap(name: string): void
  /** Those of Nodes: some API servers tell of themselves as well. */
  events(): Stored[]
  /** As after its hour. */
  removeEvents(): void
}

export type ConfigMapContent = {
  readonly data?: Readonly<Record<string, string>>
  /** In base64. */
  readonly binaryData?: Readonly<Record<string, string>>
}

export function createClusterObjects(store: Store): ClusterObjects {
  const nodeEvents = () => store.list(EVENTS, 'default').filter(isOfNode)
  return {
    renewLease(node, { at = new Date(), seconds = 40 } = {}) {
      const renewTime = at.toISOString().replace('Z', '000Z')
      const spec = { holderIdentity: node, leaseDurationSeconds: seconds, renewTime }
      const found = store.get(LEASES, KUBE_NODE_LEASE, node)
      if (found !== undefined) store.replace(LEASES, { ...found, spec })
      else store.create(LEASES, { metadata: { name: node, namespace: KUBE_NODE_LEASE }, spec })
    },
    setKubelet(node, address, port) {
      const found = store.get(NODES, undefined, node)
      if (found === undefined) throw new Error(`the test has no such Node: ${node}`)
      const status = {
        addresses: [{ type: 'InternalIP', address }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      }
      store.replace(NODES, { ...found, status })
    },
    createPod(namespace, name, node) {
      const spec = { nodeName: node, containers: [{ name: 'agent', image: 'node-firewall' }] }
      store.create(PODS, { metadata: { name, namespace }, spec, status: {} })
    },
    createService(namespace, name, clusterIPs) {
      const policy = clusterIPs.length > 1 ? { ipFamilyPolicy: 'RequireDualStack' } : {}
      const spec = { clusterIP: clusterIPs[0], clusterIPs, ...policy, ports: DNS_PORTS }
      store.create(SERVICES, { metadata: { name, namespace }, spec, status: { loadBalancer: {} } })
    },
    putConfigMap(name, content, changedAt = new Date()) {
      const found = store.get(CONFIG_MAPS, NODE_FIREWALL, name)
      const time = changedAt.toISOString().replace(/\.\d+Z$/, 'Z')
      const managedFields = [{ manager: 'kubectl', operation: 'Update', apiVersion: 'v1', time }]
      if (found === undefined) {
        store.create(CONFIG_MAPS, { metadata: { name, namespace: NODE_FIREWALL, managedFields }, ...content })
      } else {
        const { kind, apiVersion, metadata } = found
        store.replace(CONFIG_MAPS, { kind, apiVersion, metadata: { ...metadata, managedFields }, ...content })
      }
    },
    deleteConfigMap(name) {
      const found = store.get(CONFIG_MAPS, NODE_FIREWALL, name)
      if (found === undefined) throw new Error(`the test has no such ConfigMap: ${name}`)
      store.remove(CONFIG_MAPS, found)
    },
    events: nodeEvents,
    removeEvents() {
      for (const event of nodeEvents()) store.remove(EVENTS, event)
    },
  }
}

const NODE_FIREWALL = 'node-firewall'
const KUBE_NODE_LEASE = 'kube-node-lease'

const DNS_PORTS = [
  { name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 },
  { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 53 },
]

function isOfNode({ involvedObject }: Stored): boolean {
  return isRecord(involvedObject) && involvedObject['kind'] === 'Node'
}
