import { createHash } from 'node:crypto'
import type { Family } from '../../agent/ruleset/address.ts'
import { clusterAddress, podNetwork } from './cluster-addresses.ts'
import { services as allServices, hostPort } from './kube-services.ts'
import type { Service } from './kube-services.ts'

/** What the node does to addresses, besides kube-proxy. */
export type NatOptions = {
  /** Whether pods reach the world outside the cluster with the address of the node. */
  readonly masquerade: boolean
  /** Who answers pods at the address of the metadata service, see `ClusterOptions`. */
  readonly metadata: 'routed' | 'process' | 'port'
  readonly proxyMode: 'iptables' | 'ipvs'
  /** What the cluster offers; without it, what kube-services.ts says. */
  readonly services?: readonly Service[]
}

/** The nat table of a node as kube-proxy, the CNI plugins `portmap` and `bridge`, and a cloud's agent write it. */
export function natTable(family: Family, options: NatOptions): string[] {
  const { proxyMode, services = allServices } = options
  const proxied = proxyMode === 'iptables' ? services.filter(({ endpoint }) => endpoint) : []
  const rules = [
    ...baseRules,
    ...metadataRules(family, options.metadata),
    ...hostPortRules(family),
    ...(options.masquerade ? podRules(family) : []),
    ...proxied.flatMap((service) => serviceRules(service, family)),
    '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  ]
  const filled = rules.map((rule) => rule.split(' ')[1] ?? '').filter((chain) => /^(KUBE|CNI)-/.test(chain))
  const builtIn = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`)
  const empty = ['KUBE-KUBELET-CANARY', 'KUBE-PROXY-CANARY', 'KUBE-NODEPORTS']
  const chains = [...new Set([...filled, ...empty])].map((chain) => `:${chain} - [0:0]`)
  return ['*nat', ...builtIn, ...chains, ...rules, 'COMMIT']
}

const baseRules = [
  '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
  '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
  '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
  '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
  '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
  '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
  '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
]

function serviceRules(service: Service, family: Family): string[] {
  const { name, protocol, clusterIp, external, nodePort, local, endpoint } = service
  if (endpoint === undefined) return []
  const [svc, ext, sep] = ['SVC', 'EXT', 'SEP'].map((kind) => `KUBE-${kind}-${hash(name)}`)
  const comment = (text: string) => `-m comment --comment "${text}"`
  const port = (number: number) => `-m ${protocol} --dport ${number}`
  const backend = target(endpoint.address[family], endpoint.port)
  const rules = [
    `-A ${svc} ${comment(`${name} -> ${backend}`)} -j ${sep}`,
    `-A ${sep} -s ${endpoint.address[family]} ${comment(name)} -j KUBE-MARK-MASQ`,
    `-A ${sep} -p ${protocol} ${comment(name)} -m ${protocol} -j DNAT --to-destination ${backend}`,
  ]
  if (clusterIp !== undefined) {
    const match = `-d ${clusterIp.address[family]} -p ${protocol} ${comment(`${name} cluster IP`)} ${port(clusterIp.port)}`
    rules.push(`-A KUBE-SERVICES ${match} -j ${svc}`)
    rules.unshift(`-A ${svc} ! -s ${podNetwork.cluster[family]} ${match} -j KUBE-MARK-MASQ`)
  }
  if (clusterIp !== undefined && external !== undefined) {
    const match = `-d ${external[family]} -p ${protocol} ${comment(`${name} loadbalancer IP`)} ${port(clusterIp.port)}`
    rules.push(`-A KUBE-SERVICES ${match} -j ${ext}`)
  }
  if (nodePort === undefined) return rules
  rules.push(`-A KUBE-NODEPORTS -p ${protocol} ${comment(name)} ${port(nodePort)} -j ${ext}`)
  const masquerade = `-A ${ext} ${comment(`masquerade traffic for ${name} external destinations`)} -j KUBE-MARK-MASQ`
  return local === undefined
    ? [...rules, masquerade, `-A ${ext} -j ${svc}`]
    : [...rules, ...localRules(service, family)]
}

/** The address of a client from outside is kept; the node itself and pods may use any endpoint. */
function localRules({ name }: Service, family: Family): string[] {
  const [ext, svl, svc, sep] = ['EXT', 'SVL', 'SVC', 'SEP'].map((kind) => `KUBE-${kind}-${hash(name)}`)
  const what = `${name} external destinations`
  return [
    `-A ${ext} -s ${podNetwork.cluster[family]} -m comment --comment "pod traffic for ${what}" -j ${svc}`,
    `-A ${ext} -m comment --comment "masquerade LOCAL traffic for ${what}" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `-A ${ext} -m comment --comment "route LOCAL traffic for ${what}" -m addrtype --src-type LOCAL -j ${svc}`,
    `-A ${ext} -j ${svl}`,
    `-A ${svl} -m comment --comment "${name} -> local endpoint" -j ${sep}`,
  ]
}

function hostPortRules(family: Family): string[] {
  const { protocol, port, endpoint } = hostPort
  const chain = `CNI-DN-${hash('hostPort').toLowerCase()}`
  const match = `-p ${protocol} -m ${protocol} --dport ${port}`
  const loopback = [`-A ${chain} -s 127.0.0.1/32 ${match} -j CNI-HOSTPORT-SETMARK`]
  return [
    `-A CNI-HOSTPORT-DNAT -p ${protocol} -m comment --comment "dnat name: \\"pods\\" id: \\"pod\\"" -m multiport --dports ${port} -j ${chain}`,
    `-A ${chain} -s ${podNetwork.node[family]} ${match} -j CNI-HOSTPORT-SETMARK`,
    ...(family === 'ipv4' ? loopback : []),
    `-A ${chain} ${match} -j DNAT --to-destination ${target(endpoint.address[family], endpoint.port)}`,
  ]
}

/** What goes from a pod to another one keeps its address. */
function podRules(family: Family): string[] {
  const multicast = family === 'ipv4' ? '224.0.0.0/4' : 'ff00::/8'
  return (['pod', 'podB'] as const).flatMap((name) => {
    const chain = `CNI-${hash(name).toLowerCase()}`
    const comment = `-m comment --comment "name: \\"pods\\" id: \\"${name}\\""`
    return [
      `-A POSTROUTING -s ${clusterAddress[name][family]} ${comment} -j ${chain}`,
      `-A ${chain} -d ${podNetwork.cluster[family]} ${comment} -j ACCEPT`,
      `-A ${chain} ! -d ${multicast} ${comment} -j MASQUERADE`,
    ]
  })
}

function metadataRules(family: Family, metadata: NatOptions['metadata']): string[] {
  if (metadata === 'routed') return []
  const { metadata: service, metadataProxy } = clusterAddress
  const to = metadata === 'process' ? target(metadataProxy[family], 988) : target(service[family], 8080)
  return [
    `-A PREROUTING -d ${service[family]} -p tcp -m comment --comment "metadata concealment" -m tcp --dport 80 -j DNAT --to-destination ${to}`,
  ]
}

function target(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** The 16 characters that kube-proxy tells chains apart by. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16).toUpperCase()
}
