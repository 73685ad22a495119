import fc from 'fast-check'
import { families } from '../../agent/ruleset/address.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import type { Ways } from '../sandbox/control-plane/vitals.ts'

/** Rulesets that deny whatever comes to mind of a node and its control plane, and the ways that these go. */
export function randomRulesets(): fc.Arbitrary<{ readonly spec: object; readonly ways: Ways }> {
  return fc.record({ spec, ways })
}

const ways: fc.Arbitrary<Ways> = fc.record({
  family: fc.constantFrom(...families),
  apiServer: fc.constantFrom('endpoint', 'balancer', 'service'),
  kubelet: fc.constantFrom('endpoint', 'balancer'),
  calls: fc.constantFrom('endpoint', 'balancer'),
})

const deny = fc.constantFrom('drop', 'reject')
/** More often than not they deny. */
const action = fc.constantFrom('drop', 'reject', 'drop', 'reject', 'accept')

/** Each in both families: a rule of which nothing is left in either is an error. */
const places = [
  ...Object.values(controlPlaneAddress).map(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  ['0.0.0.0/0', '::/0'],
  ['192.0.2.0/24', '2001:db8::/32'],
  ['10.96.0.0/12', 'fd00:200::/64'],
  ...['private', 'any', 'self', 'apiServers'].map((name) => [name]),
]
const addresses = fc
  .array(fc.constantFrom(...places), { minLength: 1, maxLength: 3 })
  .map((some) => [...new Set(some.flat())])

const ports = fc.array(fc.constantFrom(22, 53, 443, 6443, 10_250, '1-1024', '1024-65535', '1-65535'), {
  minLength: 1,
  maxLength: 3,
})
const interfaces = fc.constantFrom(['any'], ['eth0'], ['eth+'], ['lo'], ['eth0', 'lo'])

const what = fc.oneof(
  fc.record({ protocol: fc.constantFrom('any', 'tcp', 'udp', ['icmp', 'icmpv6'], ['tcp', 'udp']) }),
  fc.record({ protocol: fc.constantFrom('tcp', 'udp', ['tcp', 'udp']), ports }),
)
const where = fc.record(
  {
    direction: fc.constantFrom('ingress', 'egress'),
    endpoint: fc.constantFrom('node', 'pods'),
    from: addresses,
    to: addresses,
    interfaces,
  },
  { requiredKeys: ['direction'] },
)
const rule = fc
  .tuple(where, what, action)
  .map(([there, that, verdict]) => ({ ...there, ...that, action: verdict }))

const off = fc.constant('off')

const spec = fc
  .record(
    {
      interfaces: fc.constantFrom({ external: ['any'] }, { external: ['eth0'] }),
      established: fc.constantFrom('cut', 'keep'),
      defaults: fc.record(
        { ingress: deny, egress: deny, podIngress: deny, podEgress: deny },
        { requiredKeys: [] },
      ),
      failsafe: fc.record({ apiServers: off, kubelet: off, dns: off }, { requiredKeys: [] }),
      rules: fc.array(rule, { maxLength: 5 }),
    },
    { requiredKeys: ['rules'] },
  )
  .map(({ rules, ...rest }) => ({
    ...rest,
    rules: rules.map((one, index) => ({ name: `rule ${index}`, ...one })),
  }))
