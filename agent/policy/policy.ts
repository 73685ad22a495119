import type { Cidr } from '../ruleset/address.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { ConnectionLimit, Flow, IcmpTypes, PortRange, RateLimit } from '../ruleset/ruleset.ts'
import type { Action } from '../ruleset/fields.ts'

/** What one node enforces: every rule in the order of evaluation, free of names that still need looking up. */
export type Policy = {
  /** Short hash of the rulesets it came from; the same on every node that they select. */
  readonly hash: string
  /** audit: every ruleset is in audit mode, so nothing is denied. */
  readonly mode: 'enforce' | 'audit'
  /** For each way: failsafes, then rules, then the default. What matches none of them is accepted. */
  readonly flows: Readonly<Record<Flow, readonly PolicyStep[]>>
  /**
   * Interfaces that any ruleset calls external: what comes in on one of them does not come from a pod. Rulesets in audit
   * mode have a say only where nothing is enforced: it decides which rules packets meet.
   */
  readonly external: readonly string[]
  /** Addresses of the node. */
  readonly self: readonly Cidr[]
  /** What the cluster's sets hold now. */
  readonly clusterSets: Readonly<Record<ClusterSet, readonly Cidr[]>>
  /** Those of them that were never read since this process started: what the kernel holds of them stays. */
  readonly unknownSets: ReadonlySet<ClusterSet>
  /** Sets of the cluster that failsafes go by, in which private networks stand for nobody any more. */
  readonly failsafesBy: readonly ClusterSet[]
  /** Rulesets whose rules let standing connections be, when they begin to deny them. */
  readonly keepsEstablished: ReadonlySet<string>
  /** Flows whose default several rulesets set, all of which let standing connections be. */
  readonly keepsEstablishedByDefault: ReadonlySet<Flow>
  /** When a rule expired last, in ms since the epoch; -Infinity: none has. */
  readonly changedAt: number
  /** When a rule expires next, in ms since the epoch; Infinity: never. */
  readonly changesAt: number
  /** What its author should know, each a sentence. */
  readonly warnings: readonly string[]
}

export type PolicyStep = PolicyRule | AuditedRuleset

/** A ruleset in audit mode: evaluated by itself, counted, logged; whatever it says, the next step follows. */
export type AuditedRuleset = {
  readonly kind: 'audit'
  readonly ruleset: string
  readonly rules: readonly PolicyRule[]
}

export type PolicyRule = {
  readonly kind: 'failsafe' | 'rule' | 'default'
  /** The ruleset it stands in; none for failsafes, and for defaults that several rulesets set. */
  readonly ruleset?: string
  readonly name: string
  /** Of a failsafe: what was seen that it follows from; it changes only with what it says. */
  readonly fact?: string
  readonly action: Action
  readonly match: Match
  /** What exceeds it is dropped. What does not is accepted, or if the action is drop goes on to the next step. */
  readonly limit?: RateLimit
  readonly connections?: ConnectionLimit
  readonly log: boolean
  /** Counted and logged, and otherwise as if it were not there. Never on accept. */
  readonly audit: boolean
}

/** All that is given must hold; a list holds when one of its members does. */
export type Match = {
  /** Interfaces the packet came in on, or for egress flows goes out on; `+` at the end stands for any ending. */
  readonly interfaces?: readonly string[]
  readonly protocols?: readonly Protocol[]
  readonly ports?: readonly PortRange[]
  readonly sourcePort?: number
  readonly icmpTypes?: IcmpTypes
  readonly from?: Addresses
  readonly to?: Addresses
  /** Conntrack states, in the order that `iptables-save` prints them. */
  readonly states?: readonly ('RELATED' | 'ESTABLISHED' | 'UNTRACKED')[]
  /** Also what goes to a metadata address by no external interface; of podEgress rules that name no interfaces. */
  readonly orMetadata?: boolean
}

/** Networks, and sets of the cluster. Neither: nobody. */
export type Addresses = { readonly cidrs: readonly Cidr[]; readonly sets: readonly ClusterSet[] }

/** What has to be known of a node to resolve a ruleset for it. */
export type NodeFacts = {
  /** Interfaces that hold a default route, in any routing table and either family. */
  readonly external: readonly string[]
  /** All interfaces there are. */
  readonly interfaces: readonly string[]
  /** Addresses by which others can reach the node, each as a network of one host, sorted. */
  readonly addresses: readonly Cidr[]
  /** TCP ports of what Kubernetes runs on this node; absent: it does not run here, or was not seen to. */
  readonly ports?: ServicePorts
  /** Ways into the pod network that end at this node, sorted, those that are alike once; absent: they are not known. */
  readonly tunnels?: readonly Tunnel[]
  /** Name servers of the host, sorted; absent: not known, or one that runs on the host asks others. */
  readonly resolvers?: readonly Cidr[]
  /** Nothing of the host but its network can be seen: what is not known above may be there all the same. */
  readonly onlyNetwork?: boolean
  /** Where the kubelet and the agent find the API server, as they are told or were seen to; sorted. */
  readonly servers?: readonly ServerEndpoint[]
  /** Sets of the cluster that the kernel held when this process began; of their members those that are this node's. */
  readonly remembered?: Readonly<Partial<Record<ClusterSet, readonly Cidr[]>>>
}

/** An address at which somebody on this node finds the API server: often that of a load balancer. */
export type ServerEndpoint = {
  readonly address: Cidr
  readonly port: number
  readonly of: 'kubelet' | 'agent'
}

/** What carries packets of pods, or tells the way to them, between nodes. */
export type Tunnel = {
  readonly kind: string
  readonly protocols: readonly Protocol[]
  /** Absent: it has none, or nobody knows which. */
  readonly ports?: readonly number[]
  /** Its device; absent: several, or none. */
  readonly device?: string
  /** Addresses of this node that it is told to speak from; none: whichever the route says. */
  readonly locals: readonly Cidr[]
}

export type ServicePorts = {
  readonly kubelet?: number
  readonly apiServer?: number
  readonly etcd?: number
  readonly etcdPeer?: number
}

/** What the cluster's sets hold; `undefined`: it was not read yet; absent: there is no cluster to read it from. */
export type ClusterFacts = Readonly<Partial<Record<ClusterSet, readonly Cidr[] | undefined>>>

/** Of a host that is in no cluster. */
export const noClusterFacts: ClusterFacts = {}

/** Of a node in a cluster of which nothing was read yet. */
export const unreadClusterFacts: ClusterFacts = {
  nodes: undefined,
  apiServers: undefined,
  podCIDRs: undefined,
}
