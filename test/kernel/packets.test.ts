import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { enforce, rulesetOf } from './enforce.ts'

const backends = await usableBackends()
const tcpPorts = [22, 179, 1000, 1999, 2000, 2001, 8080, 10_250, 30_000, 30_080, 32_767, 32_768]
const udpPorts = [53, 68, 30_053, 51_820]

type Row = readonly [
  name: string,
  client: 'internet' | 'private',
  protocol: 'tcp' | 'udp',
  port: number,
  ipv4: Outcome,
  ipv6: Outcome,
]

describe.each(backends)('packets on iptables-%s', (backend) => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    for (const port of tcpPorts) await sandbox.node.listen('tcp', port)
    for (const port of udpPorts) await sandbox.node.listen('udp', port)
  })
  afterAll(async () => sandbox.close())

  async function expectRows(rows: readonly Row[]): Promise<void> {
    const probes = rows.flatMap(([name, client, protocol, port, ipv4, ipv6]) =>
      families.map(async (family) => {
        const outcome = await sandbox[client].probe({ protocol, address: nodeAddress[family], port })
        return { name: `${name}, ${family}`, outcome, expected: family === 'ipv4' ? ipv4 : ipv6 }
      }),
    )
    const seen = await Promise.all(probes)
    expect(seen.map(({ name, outcome }) => `${name}: ${outcome}`)).toEqual(
      seen.map(({ name, expected }) => `${name}: ${expected}`),
    )
  }

  test('the preset lke-worker', async () => {
    await enforce(sandbox.node, backend, await readFile('rulesets/lke-worker/lke-worker.yaml', 'utf8'))
    await expectRows([
      ['ssh from the internet', 'internet', 'tcp', 22, 'refused', 'refused'],
      ['ssh from the private network', 'private', 'tcp', 22, 'refused', 'refused'],
      ['kubelet from the internet', 'internet', 'tcp', 10_250, 'refused', 'refused'],
      ['kubelet from the private network', 'private', 'tcp', 10_250, 'accepted', 'accepted'],
      ['bgp from the internet', 'internet', 'tcp', 179, 'refused', 'refused'],
      ['bgp from the private network', 'private', 'tcp', 179, 'accepted', 'refused'],
      ['wireguard from the internet', 'internet', 'udp', 51_820, 'refused', 'refused'],
      ['wireguard from the private network', 'private', 'udp', 51_820, 'accepted', 'refused'],
      ['a host process on a node port from the internet', 'internet', 'tcp', 30_080, 'refused', 'refused'],
      [
        'a host process on a node port from the private network',
        'private',
        'tcp',
        30_080,
        'accepted',
        'refused',
      ],
      ['the first node port', 'private', 'tcp', 30_000, 'accepted', 'refused'],
      ['the last node port', 'private', 'tcp', 32_767, 'accepted', 'refused'],
      ['the port after the last node port', 'private', 'tcp', 32_768, 'refused', 'refused'],
      ['a node port over udp', 'private', 'udp', 30_053, 'accepted', 'refused'],
      ['anything else', 'internet', 'tcp', 8080, 'refused', 'refused'],
      ['dns of a host process from the internet', 'internet', 'udp', 53, 'refused', 'refused'],
    ])
  })

  test('the preset ssh-bastion sets no default and closes only ssh', async () => {
    await enforce(sandbox.node, backend, await readFile('rulesets/ssh-bastion/ssh-bastion.yaml', 'utf8'))
    await expectRows([
      ['ssh from the bastion (203.0.113.10, 2001:db8::/64)', 'internet', 'tcp', 22, 'accepted', 'refused'],
      ['ssh from elsewhere', 'private', 'tcp', 22, 'refused', 'refused'],
      ['another port', 'internet', 'tcp', 8080, 'accepted', 'accepted'],
    ])
  })

  test.each(['kubernetes-worker', 'kubernetes-control-plane'])('the preset %s', async (preset) => {
    const text = await readFile(`rulesets/${preset}/${preset}.yaml`, 'utf8')
    await enforce(sandbox.node, backend, text.replace(/ {2}nodeSelector:\n( {4}.*\n)+/, ''))
    const nodePorts = preset === 'kubernetes-worker' ? 'accepted' : 'refused'
    await expectRows([
      ['ssh from the internet', 'internet', 'tcp', 22, 'refused', 'refused'],
      ['kubelet from the internet', 'internet', 'tcp', 10_250, 'refused', 'refused'],
      ['kubelet from the private network', 'private', 'tcp', 10_250, 'accepted', 'accepted'],
      ['node ports from the internet', 'internet', 'tcp', 30_080, nodePorts, nodePorts],
      ['tunnels from the internet', 'internet', 'udp', 51_820, 'refused', 'refused'],
      ['tunnels from the private network', 'private', 'udp', 51_820, 'accepted', 'accepted'],
    ])
  })

  test('actions: drop is silence, reject is a refusal, accept lets through', async () => {
    await enforce(
      sandbox.node,
      backend,
      rulesetOf({
        rules: [
          { name: 'dropped', action: 'drop', protocol: 'tcp', ports: [22] },
          { name: 'rejected', action: 'reject', protocol: ['tcp', 'udp'], ports: [53, 8080] },
          { name: 'accepted', action: 'accept', protocol: 'tcp', ports: [179] },
        ],
        defaults: { ingress: 'drop' },
      }),
    )
    await expectRows([
      ['dropped', 'internet', 'tcp', 22, 'silence', 'silence'],
      ['rejected tcp', 'internet', 'tcp', 8080, 'refused', 'refused'],
      ['rejected udp', 'internet', 'udp', 53, 'refused', 'refused'],
      ['accepted', 'internet', 'tcp', 179, 'accepted', 'accepted'],
      ['the default', 'internet', 'tcp', 1000, 'silence', 'silence'],
      ['the default over udp', 'internet', 'udp', 30_053, 'silence', 'silence'],
    ])
  })

  test('the first match wins, across rulesets in order of priority', async () => {
    await enforce(
      sandbox.node,
      backend,
      rulesetOf({ priority: 20, rules: [{ name: 'all', action: 'drop', protocol: 'tcp' }] }, 'later'),
      rulesetOf(
        { priority: 10, rules: [{ name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] }] },
        'earlier',
      ),
    )
    await expectRows([
      ['earlier', 'internet', 'tcp', 22, 'accepted', 'accepted'],
      ['later', 'internet', 'tcp', 179, 'silence', 'silence'],
      ['neither', 'internet', 'udp', 53, 'accepted', 'accepted'],
    ])
  })

  test('ports: both ends of a range, lists of more than 15, neighbours untouched', async () => {
    const many = Array.from({ length: 20 }, (_, index) => 5000 + index * 2)
    await enforce(
      sandbox.node,
      backend,
      rulesetOf({
        rules: [
          { name: 'some', action: 'accept', protocol: 'tcp', ports: ['1000-1999', ...many, 2001, 10_250] },
        ],
        defaults: { ingress: 'reject' },
      }),
    )
    await expectRows([
      ['first of the range', 'internet', 'tcp', 1000, 'accepted', 'accepted'],
      ['last of the range', 'internet', 'tcp', 1999, 'accepted', 'accepted'],
      ['one past the range', 'internet', 'tcp', 2000, 'refused', 'refused'],
      ['a single port', 'internet', 'tcp', 2001, 'accepted', 'accepted'],
      ['the last of a long list', 'internet', 'tcp', 10_250, 'accepted', 'accepted'],
    ])
  })

  test('addresses of one family never open or close the other', async () => {
    await enforce(
      sandbox.node,
      backend,
      rulesetOf({
        sets: { four: [`${clientAddress.internet.ipv4}/32`], six: [clientAddress.internet.ipv6], nobody: [] },
        rules: [
          { name: 'four', action: 'accept', protocol: 'tcp', ports: [22], from: ['four'] },
          { name: 'six', action: 'accept', protocol: 'tcp', ports: [179], from: ['six'] },
          { name: 'nobody', action: 'accept', protocol: 'tcp', ports: [8080], from: ['nobody'] },
          { name: 'to one address', action: 'accept', protocol: 'udp', ports: [53], to: [nodeAddress.ipv4] },
          { name: 'all of IPv4', action: 'accept', protocol: 'udp', ports: [51_820], from: ['0.0.0.0/0'] },
        ],
        defaults: { ingress: 'reject' },
      }),
    )
    await expectRows([
      ['IPv4 only', 'internet', 'tcp', 22, 'accepted', 'refused'],
      ['another IPv4 address', 'private', 'tcp', 22, 'refused', 'refused'],
      ['IPv6 only', 'internet', 'tcp', 179, 'refused', 'accepted'],
      ['an empty set', 'internet', 'tcp', 8080, 'refused', 'refused'],
      ['destination', 'internet', 'udp', 53, 'accepted', 'refused'],
      ['0.0.0.0/0', 'internet', 'udp', 51_820, 'accepted', 'refused'],
    ])
  })

  test('interfaces: rules and the default act on the external ones only, unless the rule says otherwise', async () => {
    const closed = { defaults: { ingress: 'drop' } }
    await enforce(sandbox.node, backend, rulesetOf({ ...closed, interfaces: { external: ['other0'] } }))
    await expectRows([['not an external interface', 'internet', 'tcp', 22, 'accepted', 'accepted']])
    await enforce(sandbox.node, backend, rulesetOf({ ...closed, interfaces: { external: ['et+'] } }))
    await expectRows([['a pattern', 'internet', 'tcp', 22, 'silence', 'silence']])
    const everywhere = {
      name: 'everywhere',
      action: 'drop',
      protocol: 'tcp',
      ports: [22],
      interfaces: ['any'],
    }
    await enforce(
      sandbox.node,
      backend,
      rulesetOf({ interfaces: { external: ['other0'] }, rules: [everywhere] }),
    )
    await expectRows([['any interface', 'internet', 'tcp', 22, 'silence', 'silence']])
    expect(await sandbox.node.probe({ protocol: 'tcp', address: '127.0.0.1', port: 22 })).toBe('accepted')
    expect(await sandbox.node.probe({ protocol: 'tcp', address: nodeAddress.ipv6, port: 22 })).toBe(
      'accepted',
    )
  })

  test('with everything dropped: replies, loopback, kubelet from private ranges and neighbour discovery still work', async () => {
    await sandbox.internet.listen('tcp', 443)
    const all = { name: 'all', action: 'drop', interfaces: ['any'] }
    await enforce(sandbox.node, backend, rulesetOf({ rules: [all], defaults: { ingress: 'drop' } }))
    await Promise.all(
      (['node', 'internet'] as const).map(async (name) =>
        sandbox[name].exec('ip', ['neigh', 'flush', 'all']),
      ),
    )
    await expectRows([
      ['kubelet', 'private', 'tcp', 10_250, 'accepted', 'accepted'],
      ['kubelet from the internet', 'internet', 'tcp', 10_250, 'silence', 'silence'],
      ['ssh', 'private', 'tcp', 22, 'silence', 'silence'],
    ])
    for (const family of families) {
      const outward = { protocol: 'tcp', address: clientAddress.internet[family], port: 443 } as const
      expect(await sandbox.node.probe(outward), `replies, ${family}`).toBe('accepted')
    }
  })

  test('accept is no shortcut past what others deny', async () => {
    const ssh = { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] }
    await enforce(sandbox.node, backend, rulesetOf({ rules: [ssh] }))
    const deny = ['INPUT', '-p', 'tcp', '--dport', '22', '-j', 'DROP']
    await sandbox.node.exec(`iptables-${backend}`, ['-A', ...deny])
    await expectRows([['denied by somebody else', 'internet', 'tcp', 22, 'silence', 'accepted']])
    await sandbox.node.exec(`iptables-${backend}`, ['-D', ...deny])
  })
})
