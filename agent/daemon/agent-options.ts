import type { FindClusterDns } from '../cluster/cluster-dns.ts'
import type { ConfigMaps } from '../cluster/config-maps.ts'
import type { Events, EventsOptions } from '../cluster/events.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import type { Peers } from '../cluster/peers.ts'
import type { TargetPid } from '../host/exec.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { LogTarget } from '../netfilter/log-text.ts'
import type { Probe } from '../probes/probe.ts'
import type { Cidr } from '../ruleset/address.ts'
import type { Labels } from '../ruleset/select.ts'
import type { Address } from '../telemetry/serve-pages.ts'
import type { WatchCluster } from './watch-cluster.ts'

export type AgentOptions = {
  /** Folder of Ruleset files: the mounted ConfigMap. */
  readonly rules: string
  /** Whose network is filtered; `self`: of the host no other thing than its network can be seen or entered. */
  readonly targetPid: TargetPid
  readonly backend: Backend | 'auto'
  /** Where rules that log send packets. */
  readonly logTarget: LogTarget | 'auto'
  /** Cron expressions, with seconds. */
  readonly verifySchedule: string
  readonly reapplySchedule: string
  readonly statusFile: string | undefined
  /** Folder on the host for what outlives the agent; absent: nothing does. */
  readonly stateDir: string | undefined
  /** File on the host that lets one agent act at a time; absent: nothing does. */
  readonly lockFile: string | undefined
  /** The pod this agent runs in, if it is one. */
  readonly pod: string | undefined
  /** Folder of the host's systemd units, where one restores the rules at its start; absent: none does. */
  readonly bootUnitDir: string | undefined
  /** How long a change may take to be confirmed, in ms. */
  readonly confirmDeadlineMs: number
  /** What iptables, ipset, ip and nft may take, in ms. */
  readonly commandTimeoutMs: number
  readonly healthAddress: Address | undefined
  /** `default`: beside the probes, where these are on loopback. */
  readonly metricsAddress: Address | 'default' | undefined
  /** Networks that may ask for metrics; the node itself always may. */
  readonly metricsClients: readonly Cidr[]
  readonly logLevel: string
  /** One pass, then the end. */
  readonly once: boolean
  /** Compare only. */
  readonly dryRun: boolean
  /** The cluster this node is part of, or the labels of a host that is in none. */
  readonly place: ClusterSide | { readonly labels: Labels }
}

/** The cluster as an agent on one of its nodes deals with it. */
export type ClusterSide = {
  readonly nodeName: string
  readonly node: OwnNode
  readonly peers: Peers
  readonly watch: WatchCluster
  /** The ConfigMaps that are mounted, through the API; absent: the mount is all there is. */
  readonly configMaps: ConfigMaps | undefined
  /** What makes this node part of the cluster; made anew for each change of rules. */
  readonly probes: () => readonly Probe[]
  readonly findDns: FindClusterDns
  /** Where this agent finds the API server. */
  readonly server: () => Promise<URL>
  /** Takes the taint with which nodes join; absent: they join without one. */
  readonly removeTaint: ((signal: AbortSignal) => Promise<boolean>) | undefined
  readonly openEvents: (
    onError: EventsOptions['onError'],
    onAttempt?: NonNullable<EventsOptions['onAttempt']>,
  ) => Events
}

/** What the process is told from outside. */
export type ProcessSignals = {
  /** Aborted when the process shall end. */
  readonly stop: AbortSignal
  /** Calls back when somebody asks for a pass. */
  readonly onHangup: (callback: () => void) => void
}
