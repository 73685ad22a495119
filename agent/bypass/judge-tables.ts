import type { Finding } from './finding.ts'
import type { BaseChainSeen, NftTable } from './nft-tables.ts'

/**
 * What native nft tables of others do beside our rules. All base chains of a hook are asked, in the order of their
 * priorities: "accept" ends only the chain it stands in, "drop" ends the packet (nft(8), VERDICT STATEMENTS). So none
 * of them can let through what we deny, and any of them can deny what we accept. Only what leaves the way before
 * conntrack, or is no new connection any more, goes past us.
 */
export function judgeTables(tables: readonly NftTable[]): Finding[] {
  return tables
    .filter(({ name }) => !isExpected(name))
    .flatMap((table) => [...judgeDenials(table), ...judgeWaysPast(table)])
    .concat(tables.flatMap(judgeFlowtables))
}

/** Whether the rules of a table are worth reading; those of kube-proxy can be 100,000. */
export function isWorthReading({ name, chains }: NftTable): boolean {
  return !isExpected(name) && chains.some(filters)
}

/**
 * Tables that are part of the cluster. kube-proxy's (pkg/proxy/nftables in Kubernetes) drops what
 * loadBalancerSourceRanges exclude and rejects what has no endpoints; the others are NetworkPolicies, which keep their
 * say by design.
 */
function isExpected(name: string): boolean {
  return /^(kube-proxy|calico|kube-network-policies|kindnet)/.test(name)
}

function filters({ type, hook }: BaseChainSeen): boolean {
  return type !== 'nat' && ['prerouting', 'input', 'forward', 'output', 'ingress'].includes(hook)
}

function judgeDenials(table: NftTable): Finding[] {
  const chains = table.chains.filter(filters)
  const closed = chains.filter(({ policy }) => policy === 'drop')
  const denies = ['drop', 'reject', 'queue'] as const
  if (closed.length === 0 && !denies.some((verdict) => table.verdicts.has(verdict))) return []
  const remedy = 'allow there too what rules here accept'
  return closed.length > 0
    ? [
        {
          what: `${nameOf(table)} drops what it does not accept itself (${listed(closed)}, policy drop)`,
          remedy,
        },
      ]
    : [{ what: `${nameOf(table)} can deny what rules here accept (${listed(chains)})`, remedy }]
}

/** Untracked packets pass a failsafe: the replies to them could not be told from anything else. */
function judgeWaysPast(table: NftTable): Finding[] {
  return [
    ...(table.verdicts.has('notrack')
      ? [
          {
            what: `${nameOf(table)} keeps packets from conntrack (notrack), and untracked packets pass our rules`,
            remedy: 'deny in that table what must not come in, or track it',
          },
        ]
      : []),
    ...(table.verdicts.has('fwd')
      ? [
          {
            what: `${nameOf(table)} sends packets to another interface before netfilter's other hooks (fwd)`,
            remedy: 'deny in that table what must not pass',
          },
        ]
      : []),
  ]
}

/** See "Netfilter's flowtable infrastructure" in the kernel's documentation. */
function judgeFlowtables(table: NftTable): Finding[] {
  return table.flowtables.map((name) => ({
    what: `the flowtable ${name} of ${nameOf(table)} takes forwarded connections past FORWARD once they are established`,
    remedy: 'new rules hold for them when they are cut, or end; counters miss them',
  }))
}

function nameOf({ family, name }: NftTable): string {
  return `nft table ${family} ${name}`
}

function listed(chains: readonly BaseChainSeen[]): string {
  return chains.map(({ name, hook }) => (name === hook ? name : `${name} at ${hook}`)).join(', ')
}
