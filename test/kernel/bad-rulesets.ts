import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import type { Vital, Ways } from '../sandbox/control-plane/vitals.ts'

/** A ruleset that somebody might write, and what it takes from a node that goes these ways. */
export type BadRuleset = {
  readonly name: string
  /** The `spec` of the Ruleset. */
  readonly spec: object
  /** Those that are not said are between addresses that the cluster tells of. */
  readonly ways?: Partial<Ways>
  /** What works no longer; nothing: it only looks bad, as failsafes stand before it. */
  readonly cuts: readonly Vital[]
}

const { balancer, endpoint, service } = controlPlaneAddress
const networkOfBalancer = ['192.0.2.0/24', '2001:db8:c::/48']
/** Nobody in the cluster tells of the balancer: only who goes there knows it. */
const byBalancer = { apiServer: 'balancer', kubelet: 'balancer' } as const
const unsaved = { failsafe: { apiServers: 'off' } } as const
const egress = { direction: 'egress' } as const
const allClosed = {
  interfaces: { external: ['any'] },
  defaults: { ingress: 'drop', egress: 'drop', podIngress: 'drop', podEgress: 'drop' },
} as const

/** Each cuts off something that a failsafe does not know of, or that somebody has switched off. */
export const badRulesets: readonly BadRuleset[] = [
  {
    name: 'nothing may go out, and the failsafe of the API servers is off',
    spec: { failsafe: { apiServers: 'off' }, defaults: { egress: 'drop' } },
    cuts: ['api server', 'lease'],
  },
  {
    name: 'the failsafe of the API servers is narrowed to their Service, which the kubelet does not use',
    spec: { failsafe: { apiServers: { to: Object.values(service) } }, defaults: { egress: 'reject' } },
    ways: { apiServer: 'service' },
    cuts: ['lease'],
  },
  {
    name: 'nothing may come in, and the failsafe of the kubelet is off',
    spec: { failsafe: { kubelet: 'off' }, defaults: { ingress: 'drop' } },
    cuts: ['kubelet log'],
  },
  {
    name: 'the failsafe of DNS is off, and port 53 is closed',
    spec: {
      failsafe: { dns: 'off' },
      rules: [{ name: 'dns', ...egress, action: 'reject', protocol: ['tcp', 'udp'], ports: [53] }],
    },
    cuts: ['cluster dns'],
  },
  {
    name: 'the failsafe of DNS is narrowed to a server outside',
    spec: {
      failsafe: { dns: { to: ['9.9.9.9', '2620:fe::fe'] } },
      defaults: { egress: 'drop' },
    },
    ways: { family: 'ipv6' },
    cuts: ['cluster dns'],
  },
  {
    name: 'all failsafes are off, and all is closed',
    spec: { failsafe: { apiServers: 'off', kubelet: 'off', dns: 'off' }, ...allClosed },
    cuts: ['api server', 'lease', 'kubelet log', 'cluster dns'],
  },
  {
    name: 'nothing may go out, and all go to the API server by its load balancer',
    spec: { ...unsaved, defaults: { egress: 'drop' } },
    ways: byBalancer,
    cuts: ['api server', 'lease'],
  },
  {
    name: 'the failsafe of the API servers is narrowed to endpoints, and the kubelet goes by the load balancer',
    spec: { failsafe: { apiServers: { to: ['apiServers'] } }, defaults: { egress: 'reject' } },
    ways: { kubelet: 'balancer', apiServer: 'service' },
    cuts: ['lease'],
  },
  {
    name: 'the same, and only pods go by the load balancer',
    spec: { failsafe: { apiServers: { to: ['apiServers'] } }, defaults: { egress: 'drop' } },
    ways: { apiServer: 'balancer' },
    cuts: ['api server'],
  },
  {
    name: 'a port that is not meant for the API server',
    spec: {
      ...unsaved,
      rules: [{ name: 'no 6443', ...egress, action: 'reject', protocol: 'tcp', ports: [6443] }],
    },
    ways: byBalancer,
    cuts: ['api server', 'lease'],
  },
  {
    name: 'a list of bad addresses with the load balancer on it',
    spec: {
      ...unsaved,
      sets: { bad: [...networkOfBalancer, '203.0.113.0/24'] },
      rules: [{ name: 'bad', ...egress, action: 'drop', to: ['bad'] }],
    },
    ways: { ...byBalancer, calls: 'balancer' },
    cuts: ['api server', 'lease'],
  },
  {
    name: 'the same list against what comes in',
    spec: { rules: [{ name: 'bad', action: 'drop', from: networkOfBalancer }] },
    ways: { ...byBalancer, calls: 'balancer' },
    cuts: ['kubelet log'],
  },
  {
    name: 'a long list of bad addresses with the load balancer on it',
    spec: {
      ...unsaved,
      sets: {
        bad: [...networkOfBalancer, ...Array.from({ length: 40 }, (_, index) => `203.0.113.${index * 2}`)],
      },
      rules: [{ name: 'bad', ...egress, action: 'drop', to: ['bad'] }],
    },
    ways: { family: 'ipv6', ...byBalancer },
    cuts: ['api server', 'lease'],
  },
  {
    name: 'only one family is thought of, over the other one',
    spec: {
      ...unsaved,
      rules: [
        { name: 'api', ...egress, action: 'accept', protocol: 'tcp', to: [balancer.ipv4], ports: [6443] },
      ],
      defaults: { egress: 'drop' },
    },
    ways: { family: 'ipv6', ...byBalancer },
    cuts: ['api server', 'lease'],
  },
  {
    name: 'the API server is let in, and not out',
    spec: {
      ...unsaved,
      rules: [{ name: 'api', action: 'accept', protocol: 'tcp', from: [balancer.ipv4], ports: [6443] }],
      defaults: { egress: 'drop' },
    },
    ways: byBalancer,
    cuts: ['api server', 'lease'],
  },
  {
    name: 'nothing may come in, and the API server calls from its load balancer',
    spec: { defaults: { ingress: 'drop' } },
    ways: { calls: 'balancer' },
    cuts: ['kubelet log'],
  },
  {
    name: 'the kubelet port is closed to all',
    spec: { rules: [{ name: 'kubelet', action: 'reject', protocol: 'tcp', ports: ['10000-10300'] }] },
    ways: { calls: 'balancer' },
    cuts: ['kubelet log'],
  },
  {
    name: 'nothing may come in on any interface',
    spec: { interfaces: { external: ['any'] }, defaults: { ingress: 'reject' } },
    ways: { calls: 'balancer', family: 'ipv6' },
    cuts: ['kubelet log'],
  },
  {
    name: 'all is closed, and all go by the load balancer',
    spec: { ...unsaved, ...allClosed },
    ways: { ...byBalancer, calls: 'balancer' },
    cuts: ['api server', 'lease', 'kubelet log'],
  },
]

/** Each closes as much, but failsafes stand before it: they must be confirmed, not rolled back. */
export const harmlessRulesets: readonly BadRuleset[] = [
  {
    name: 'all is closed',
    spec: allClosed,
    cuts: [],
  },
  {
    name: 'all is closed, and the API server is found by its Service',
    spec: { defaults: { ingress: 'reject', egress: 'reject', podIngress: 'reject', podEgress: 'reject' } },
    ways: { apiServer: 'service', family: 'ipv6' },
    cuts: [],
  },
  {
    name: 'nothing may go out, and all go to the API server by its load balancer',
    spec: { defaults: { egress: 'drop' } },
    ways: byBalancer,
    cuts: [],
  },
  {
    name: 'nothing may go out, and only the kubelet goes by the load balancer',
    spec: { defaults: { egress: 'reject' } },
    ways: { kubelet: 'balancer', apiServer: 'service' },
    cuts: [],
  },
  {
    name: 'a long list of bad addresses with the load balancer on it, by which the agent goes too',
    spec: {
      sets: {
        bad: [...networkOfBalancer, ...Array.from({ length: 40 }, (_, index) => `203.0.113.${index * 2}`)],
      },
      rules: [{ name: 'bad', ...egress, action: 'drop', to: ['bad'] }],
    },
    ways: { family: 'ipv6', ...byBalancer },
    cuts: [],
  },
  {
    name: 'every address that the node speaks to is denied',
    spec: {
      rules: [
        { name: 'out', ...egress, action: 'drop', to: Object.values(endpoint) },
        { name: 'in', action: 'drop', from: Object.values(endpoint) },
        { name: 'dns', ...egress, action: 'reject', protocol: ['tcp', 'udp'], ports: [53] },
      ],
    },
    cuts: [],
  },
  {
    name: 'an audit of a ruleset that would cut all off',
    spec: { mode: 'audit', defaults: { ingress: 'drop', egress: 'drop' } },
    ways: { ...byBalancer, calls: 'balancer' },
    cuts: [],
  },
]
