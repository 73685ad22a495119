import type { Connection } from '../../agent/policy/connection.ts'
import type { Addresses, Match, Policy, PolicyRule, PolicyStep } from '../../agent/policy/policy.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import type { ClusterSet } from '../../agent/ruleset/built-in-sets.ts'
import type { Flow } from '../../agent/ruleset/ruleset.ts'

/** A policy of a node at 192.0.2.1 and 2001:db8::1 whose clients come in on eth0. */
export function policyOf(
  flows: Partial<Record<Flow, readonly PolicyStep[]>>,
  sets: Partial<Record<ClusterSet, readonly string[]>> = {},
): Policy {
  const members = (name: ClusterSet) => (sets[name] ?? []).map(parseCidr)
  return {
    hash: '0123456789ab',
    mode: 'enforce',
    flows: { ingress: [], egress: [], podIngress: [], podEgress: [], ...flows },
    external: ['eth0', 'wan+'],
    self: ['192.0.2.1', '2001:db8::1'].map(parseCidr),
    clusterSets: {
      nodes: members('nodes'),
      apiServers: members('apiServers'),
      podCIDRs: members('podCIDRs'),
    },
    keepsEstablished: new Set(),
    keepsEstablishedByDefault: new Set(),
    changedAt: -Infinity,
    changesAt: Infinity,
    failsafesBy: [],
    unknownSets: new Set(),
    warnings: [],
  }
}

export function accept(name: string, match: Match = {}, more: Partial<PolicyRule> = {}): PolicyRule {
  return { kind: 'rule', ruleset: 'test', name, action: 'accept', match, log: false, audit: false, ...more }
}

export function drop(name: string, match: Match = {}, more: Partial<PolicyRule> = {}): PolicyRule {
  return { ...accept(name, match), action: 'drop', ...more }
}

export function networks(...members: readonly string[]): Addresses {
  return { cidrs: members.map(parseCidr), sets: [] }
}

export function port(first: number, last = first) {
  return { ports: [{ first, last }] }
}

/** TCP from a client on eth0 to port 80 of the node itself; with `real`, to what was translated to that. */
export function client(more: Partial<Connection> = {}): Connection {
  const dialled = more.dialled ?? { address: '192.0.2.1', port: 80 }
  const base = { family: 'ipv4', protocol: 6, from: '198.51.100.7', fromPort: 40_000, in: 'eth0' } as const
  return { ...base, dialled, real: dialled, ...more }
}

/** TCP that a process of the node opens to port 443 of a host outside. */
export function fromNode(more: Partial<Connection> = {}): Connection {
  const { in: _, ...connection } = client({ from: '192.0.2.1', out: 'eth0', dialled: outside, ...more })
  return connection
}

/** TCP that a pod opens to port 443 of a host outside. */
export function fromPod(more: Partial<Connection> = {}): Connection {
  return client({ from: '10.2.0.5', in: 'cni0', out: 'eth0', dialled: outside, ...more })
}

export const outside = { address: '203.0.113.9', port: 443 }
export const metadata = { address: '169.254.169.254', port: 80 }
export const pod = { address: '10.2.0.9', port: 8080 }
export const node = { address: '192.0.2.1', port: 80 }
export const nodePort = { address: '192.0.2.1', port: 30_080 }
export const clusterIp = { address: '10.96.0.10', port: 443 }

/** TCP that a pod sends to a process of its node. */
export function local(): Connection {
  const { out: _, ...connection } = fromPod()
  return connection
}

/** A destination, and what it is translated to. */
export function at(dialled: Connection['dialled'], real = dialled) {
  return { dialled, real }
}
