import { stringify } from 'yaml'

/** The file that the phases add to the ConfigMap. */
export const ruleFile = 'e2e.yaml'

/** A ruleset for all nodes, in front of all others. */
export function rulesetOf(spec: Readonly<Record<string, unknown>>): string {
  const metadata = { name: 'e2e' }
  return stringify({
    apiVersion: 'node-firewall.io/v1',
    kind: 'Ruleset',
    metadata,
    spec: { priority: 1, ...spec },
  })
}

/** A ruleset of one rule for what comes in to a TCP port. */
export function portRuleset(name: string, action: 'accept' | 'reject', port: number): string {
  return rulesetOf({ rules: [{ name, action, protocol: 'tcp', ports: [port] }] })
}

export const wrongRuleset = rulesetOf({ rules: [{ name: 'wrong', action: 'permit' }] })

/** A ruleset that cuts what it names as a probe itself: pings to an address. */
export function lockOutRuleset(address: string): string {
  const cut = {
    name: 'cut',
    direction: 'egress',
    action: 'drop',
    protocol: ['icmp', 'icmpv6'],
    to: [address],
  }
  return rulesetOf({
    probes: [{ name: lockOutProbe, icmp: address, timeout: '1s' }],
    // A pod of the node itself is behind an interface that is not external.
    rules: [{ ...cut, interfaces: ['any'] }],
  })
}

export const lockOutProbe = 'e2e-server'
