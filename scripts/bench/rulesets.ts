/** The port that the measured rule opens or keeps closed. */
export const togglePort = 8080

/**
 * A ruleset of so many named rules, each of which is one iptables rule in either family. The last one opens
 * `togglePort`, or else a port beside it.
 */
export function namedRules(count: number, open: boolean): string {
  const ports = Array.from({ length: count - 1 }, (_, index) => 20_000 + index)
  const lines = [...ports, open ? togglePort : togglePort + 1].map(
    (port, index) => `    - { name: rule ${index + 1}, action: accept, protocol: tcp, ports: [${port}] }`,
  )
  return [...head, '  rules:', ...lines, ''].join('\n')
}

/** One rule that opens `togglePort` to a set of so many IPv4 addresses; each becomes one iptables rule. */
export function addressSet(count: number, last: string): string {
  const addresses = Array.from({ length: count - 1 }, (_, index) => {
    return `198.18.${Math.floor(index / 250)}.${(index % 250) + 1}`
  })
  return [
    ...head,
    '  sets:',
    '    clients:',
    ...[...addresses, last].map((address) => `      - ${address}`),
    '  rules:',
    `    - { name: clients, action: accept, protocol: tcp, ports: [${togglePort}], from: [clients] }`,
    '',
  ].join('\n')
}

const head = [
  'apiVersion: node-firewall.io/v1',
  'kind: Ruleset',
  'metadata: { name: bench }',
  'spec:',
  '  interfaces: { external: [eth0] }',
  '  defaults: { ingress: reject }',
]
