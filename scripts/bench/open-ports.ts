/** UDP ports that every ruleset here keeps open, and one that none opens. */
export const openPorts = [7001, 7002, 7003, 7004]
export const closedPort = 9999

/** 12 rules; `name` makes each differ from those of a ruleset of another name. Everything else is dropped. */
export function withOpenPorts(name: string): string {
  const ports = [...openPorts, ...Array.from({ length: 12 - openPorts.length }, (_, index) => 8_000 + index)]
  return [
    'apiVersion: node-firewall.io/v1',
    'kind: Ruleset',
    `metadata: { name: ${name} }`,
    'spec:',
    '  interfaces: { external: [eth0] }',
    '  defaults: { ingress: drop }',
    '  rules:',
    ...ports.map((port) => `    - { name: port ${port}, action: accept, protocol: udp, ports: [${port}] }`),
    '',
  ].join('\n')
}
