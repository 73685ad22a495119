import type { Client } from './client.ts'

/** What the phases do to a cluster, and ask of it. kubectl does it on a real one. */
export type Site = {
  /** Puts the agents on all nodes, with the rules of the overlay; resolves when their pods are ready. */
  readonly deploy: () => Promise<void>
  readonly nodes: () => Promise<readonly SiteNode[]>
  /** The files of the ConfigMap. */
  readonly readRules: () => Promise<Files>
  /** Changes files of the ConfigMap; null removes one. */
  readonly putRules: (changes: Readonly<Record<string, string | null>>) => Promise<void>
  /** Resolves when all nodes have these files in force; rejects when one will not, or not in time. */
  readonly waitFor: (files: Files) => Promise<void>
  /** Runs a shell script in a node's network namespace, where the programs of the image are; returns what it printed. */
  readonly onNode: (node: string, script: string) => Promise<string>
  /** `node-firewall verify` beside the agent; rejects when the kernel is not what the files say. */
  readonly verify: (node: string) => Promise<void>
  /** A rolling update of the agents, to its end. */
  readonly replaceAgents: () => Promise<void>
  readonly uninstall: () => Promise<void>
  /** Paths of what the agent keeps on a host, those that are there. */
  readonly leftFiles: (node: string) => Promise<readonly string[]>
  /** A server in a pod: its address, and the port at which every node leads to it. */
  readonly server: { readonly podAddress: string; readonly nodePort: number }
  /** Somebody outside of the cluster; without one no packets are sent from there. */
  readonly client: Client | undefined
}

export type Files = Readonly<Record<string, string>>

export type SiteNode = {
  readonly name: string
  /** By which the client reaches it. */
  readonly address: string
  readonly annotations: Readonly<Record<string, string>>
}
