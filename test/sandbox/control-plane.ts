import { join } from 'node:path'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import {
  apiServerPort,
  controlPlaneAddress,
  controlPlaneServices,
  nodeName,
} from './control-plane/addresses.ts'
import type { ApiServerMethods } from './control-plane/api-server.ts'
import type { ClientMethods } from './control-plane/client.ts'
import type { DnsMethods } from './control-plane/dns.ts'
import type { KubeletMethods, KubeletSetting } from './control-plane/kubelet.ts'
import { startHost } from './host.ts'
import type { Host } from './host.ts'
import { filterTable, mangleTable } from './kube-filter.ts'
import { natTable } from './kube-nat.ts'
import { startService } from './service.ts'
import type { Service } from './service.ts'
import { connect, prepare, settled } from './wire.ts'

/**
 * A node with its kubelet, and the control plane that it cannot do without, each on a host of its own:
 *
 *     stranger     203.0.113.10, 2001:db8:113::10 ─────────────────────┐
 *     controlPlane 192.168.200.2, fd00:200::2 (endpoint)               router ── eth0 node 198.51.100.2,
 *                  192.0.2.6, 2001:db8:c::6 (balancer) ────────────────┤           192.168.133.7, 2001:db8:1::2
 *     dns          10.244.2.10, fd00:244:2::10 (a pod elsewhere) ──────┘
 *
 * The node has the rules of kube-proxy: 10.96.0.1 leads to the API server, 10.96.0.10 to the DNS server.
 */
export type ControlPlane = {
  readonly node: Host
  readonly controlPlane: Host
  readonly stranger: Host
  readonly apiServer: Service<ApiServerMethods>
  readonly kubelet: Service<KubeletMethods>
  readonly dns: Service<DnsMethods>
  /** A process of the node that asks for what the node lives on. */
  readonly client: Service<ClientMethods>
  close(): Promise<void>
}

export type ControlPlaneOptions = {
  readonly backend?: Backend
  /** Time between two renewals of the Lease: 1 s; in a real cluster 10 s. */
  readonly leaseEveryMs?: number
  /** Where the kubelet finds the API server: at its balancer, over IPv4. */
  readonly kubeletVia?: string
}

/** What the API server is called by those who find it at one of its addresses. */
export function apiServerUrl(via: 'endpoint' | 'balancer' | 'service', family: Family): string {
  const address = controlPlaneAddress[via][family]
  const port = via === 'service' ? 443 : apiServerPort
  return `https://${family === 'ipv6' ? `[${address}]` : address}:${port}`
}

/** Makes the hosts and starts what runs on them. Everything is gone when it is closed, or when this process ends. */
export async function createControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { backend = 'nft', leaseEveryMs = 1_000 } = options
  const { kubeletVia = apiServerUrl('balancer', 'ipv4') } = options
  const hosts = await Promise.all(
    ['router', 'node', 'controlPlane', 'dns', 'stranger'].map(async (name) => startHost(name)),
  )
  const [router, node, controlPlane, dnsHost, stranger] = hosts as [Host, Host, Host, Host, Host]
  await Promise.all(hosts.map(async (host) => prepare(host, host === router ? forwarding : [])))
  await connect(router, node, 'node', cables.node)
  await connect(router, controlPlane, 'controlplane', cables.controlPlane)
  await connect(router, dnsHost, 'dns', cables.dns)
  await connect(router, stranger, 'stranger', cables.stranger)
  await Promise.all([...hosts.map(settled), writeKubeRules(node, backend)])

  const [apiServer, dns, client] = await Promise.all([
    startService<ApiServerMethods>(controlPlane, fileOf('api-server'), {}),
    startService<DnsMethods>(dnsHost, fileOf('dns'), {}),
    startService<ClientMethods>(node, fileOf('client'), {}),
  ])
  const kubeconfig = await apiServer.writeKubeconfig('kubelet', kubeletVia)
  const setting: KubeletSetting = { node: nodeName, kubeconfig, leaseEveryMs }
  const flag = `--kubeconfig=${kubeconfig}`
  const kubelet = await startService<KubeletMethods>(node, fileOf('kubelet'), setting, flag)
  const parts = [kubelet, apiServer, dns, client, ...hosts]
  return {
    node,
    controlPlane,
    stranger,
    apiServer,
    kubelet,
    dns,
    client,
    close: async () => void (await Promise.all(parts.map(async (part) => part.close()))),
  }
}

const forwarding = ['ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1']

const cables = {
  node: {
    router: ['198.51.100.1/24', '192.168.133.1/24', '2001:db8:1::1/64'],
    host: ['198.51.100.2/24', '192.168.133.7/24', '2001:db8:1::2/64'],
  },
  controlPlane: {
    router: ['192.168.200.1/24', '192.0.2.1/24', '2001:db8:c::1/64', 'fd00:200::1/64'],
    host: ['192.168.200.2/24', '192.0.2.6/24', '2001:db8:c::6/64', 'fd00:200::2/64'],
  },
  dns: {
    router: ['10.244.2.1/24', 'fd00:244:2::1/64'],
    host: ['10.244.2.10/24', 'fd00:244:2::10/64'],
  },
  stranger: {
    router: ['203.0.113.1/24', '2001:db8:113::1/64'],
    host: ['203.0.113.10/24', '2001:db8:113::10/64'],
  },
} as const

/** What kubelet and kube-proxy write into the tables of a node. */
async function writeKubeRules(node: Host, backend: Backend): Promise<void> {
  const nat = { masquerade: false, metadata: 'routed', proxyMode: 'iptables' } as const
  for (const family of families) {
    const text = [
      ...mangleTable,
      ...filterTable(family, false, controlPlaneServices),
      ...natTable(family, { ...nat, services: controlPlaneServices }),
      '',
    ]
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-restore`
    await node.exec(program, ['--wait'], { input: text.join('\n') })
  }
}

function fileOf(part: string): string {
  return join(import.meta.dirname, 'control-plane', `${part}.ts`)
}
