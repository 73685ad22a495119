import { protocolNumbers } from '../ruleset/protocol.ts'
import { failsafe, membersOrPrivate, namedSets, only, withPrivate } from './failsafe-rule.ts'
import type { FailsafeSources } from './failsafe-rule.ts'
import type { Addresses, PolicyRule } from './policy.ts'

/** Where the kubelet listens unless it is told otherwise. */
const usualKubeletPort = 10_250

/** What of Kubernetes runs on this node, by the ports it listens on, to those who have to reach it. */
export function servicesOf(sources: FailsafeSources): PolicyRule[] {
  return [kubelet(sources), ...apiServer(sources), ...etcd(sources)]
}

/** Also pods of this node's networks: what scrapes metrics may come with the address of its pod. */
function kubelet(sources: FailsafeSources): PolicyRule {
  const port = sources.facts.ports?.kubelet
  const { addresses, caveat } = membersOrPrivate(['nodes', 'apiServers'], ['podCIDRs'], sources)
  const fact = port === undefined ? `none seen, so ${usualKubeletPort}` : `listens on ${port}`
  return service('kubelet', [port ?? usualKubeletPort], addresses, `${fact}${caveat}`)
}

/** A node that joins is in no set yet, nor are load balancers: private networks stay. Users have rules of their own. */
function apiServer(sources: FailsafeSources): PolicyRule[] {
  const port = sources.facts.ports?.apiServer
  if (port === undefined) return []
  const addresses = withPrivate(namedSets(['nodes', 'apiServers', 'podCIDRs'], sources))
  return [service('api server', [port], addresses, `listens on ${port}`)]
}

/** Where no API server runs beside it, its peers are nodes that are none either. */
function etcd(sources: FailsafeSources): PolicyRule[] {
  const { etcd: clients, etcdPeer: peers, apiServer: beside } = sources.facts.ports ?? {}
  const ports = [clients, peers].filter((port) => port !== undefined)
  if (ports.length === 0) return []
  const { addresses, caveat } = membersOrPrivate(
    beside === undefined ? ['apiServers', 'nodes'] : ['apiServers'],
    [],
    sources,
  )
  return [service('etcd', ports, addresses, `listens on ${ports.join(' and ')}${caveat}`)]
}

function service(name: string, ports: readonly number[], from: Addresses, fact: string): PolicyRule {
  return failsafe(name, { protocols: [protocolNumbers.tcp], from, ports: ports.map(only) }, fact)
}
