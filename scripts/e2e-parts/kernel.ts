/** Prints all that rules and sets can leave in a node's kernel. */
export const dumpScript = [
  'set -e',
  // An older nft crashes on sets of a newer one, as those of kube-proxy in its nftables mode.
  'nft list ruleset || echo "nft cannot list the ruleset"',
  'iptables-nft-save',
  'ip6tables-nft-save',
  // Not every kernel has these.
  'iptables-legacy-save || echo "no iptables-legacy"',
  'ip6tables-legacy-save || echo "no ip6tables-legacy"',
  'ipset save || echo "no ipset"',
].join('\n')

/** The lines of a dump that are of this firewall, without counters, in order. */
export function ownLines(dump: string): readonly string[] {
  // kube-proxy names in its comments the Service of this run: node-firewall-e2e/server.
  return plain(dump).filter((line) => /node-firewall(?!-e2e)|(?<!-)e2e\//.test(line))
}

/**
 * What two dumps differ in, but for what comes and goes by itself on a node: rules of kube-proxy and of CNI plugins.
 */
export function differences(before: string, after: string): readonly string[] {
  const [old, now] = [stable(before), stable(after)]
  const less = [...old].filter((line) => !now.has(line)).map((line) => `- ${line}`)
  const more = [...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`)
  return [...less, ...more]
}

function stable(dump: string): ReadonlySet<string> {
  return new Set(plain(dump).filter((line) => !/KUBE-|CNI-|CILIUM|cali|FLANNEL|KIND|AWS-/i.test(line)))
}

function plain(dump: string): readonly string[] {
  return dump
    .split('\n')
    .map((line) =>
      line
        .replace(/counter packets \d+ bytes \d+/, 'counter')
        .replace(/\[\d+:\d+\]/, '')
        .trim(),
    )
    .filter((line) => line !== '' && !/^# (Generated|Completed)/.test(line))
}
