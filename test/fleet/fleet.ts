import type { Status, StatusDetails } from '../../agent/status/status.ts'
import { toAnnotations } from '../../agent/status/annotations.ts'

/** The time it is in the tests of what nodes say. */
export const now = Date.parse('2026-03-01T12:00:00Z')

export function ago(ms: number): string {
  return new Date(now - ms).toISOString()
}

export type Said = Partial<Omit<Status, 'details'>> & { readonly details?: Partial<StatusDetails> }

/** The annotations of a node on which all is well, but for what is given. */
export function annotationsOf({ details, ...said }: Said = {}): Record<string, string> {
  const ruleset = said.ruleset ?? '0123456789ab'
  const family = { inForce: 'yes', ruleset, rules: 12, position: 'first' } as const
  return toAnnotations({
    state: 'Enforcing',
    ruleset,
    message: 'in force: 12 rules for ipv4, 12 rules for ipv6 verified with iptables-nft',
    appliedAt: ago(3 * 86_400_000),
    verifiedAt: ago(5 * 60_000),
    ...said,
    details: {
      backend: 'nft',
      interfaces: { external: ['eth0'] },
      families: { ipv4: family, ipv6: family },
      drift: { count: 0, byKind: {} },
      problems: [],
      warnings: [],
      notEnforceable: [],
      ...details,
    },
  }) as Record<string, string>
}

/** One node for each thing that can be said. */
export const fleet: Readonly<Record<string, Record<string, string>>> = {
  'worker-1': annotationsOf(),
  'worker-10': annotationsOf({
    details: {
      drift: {
        count: 3,
        byKind: { 'jump-missing': 1, 'chain-changed': 2 },
        last: { at: ago(90_000), message: 'ipv4: the jump from INPUT is gone', healed: true, by: 'iptables' },
      },
    },
  }),
  'worker-2': annotationsOf({ state: 'Auditing', verifiedAt: ago(14 * 60_000) }),
  'worker-3': annotationsOf({
    state: 'RolledBack',
    message:
      'ruleset fedcba987654 was rolled back, api server failed: no answer in time; in force: 12 rules of before',
    details: {
      change: {
        ruleset: 'fedcba987654',
        step: 'rolled back',
        failed: 'api server: no answer in time',
        at: ago(600_000),
      },
    },
  }),
  'worker-4': annotationsOf({
    state: 'Degraded',
    ruleset: '0123456789ab / unknown',
    message: 'ipv6: ip6tables-nft-save: exit code 4',
    verifiedAt: ago(7_200_000),
    details: {
      ports: { kubelet: 10_250, apiServer: 6_443, etcdPeer: 2_380 },
      families: {
        ipv4: { inForce: 'yes', ruleset: '0123456789ab', rules: 12, sets: 2, position: 'preceded' },
        ipv6: {
          inForce: 'unknown',
          ruleset: 'unknown',
          rules: 0,
          position: 'absent',
          error: 'ip6tables-nft-save: exit code 4',
        },
      },
      mode: { mode: 'audit', by: 'the annotation node-firewall.io/mode' },
      connections: {
        at: ago(60_000),
        cut: 5,
        failed: 1,
        notes: ['tcp from 198.51.100.7: it is not tracked'],
      },
      problems: ['worker.yaml:3:1: spec.rulez: unknown key', 'worker.yaml:9:5: found "x"'],
      warnings: ['the policy of INPUT is DROP'],
      notEnforceable: ['Cilium takes packets of NodePorts past netfilter'],
    },
  }),
  'worker-5': annotationsOf({ state: 'Waiting', message: 'ruleset fedcba987654 waits: worker-6 is first' }),
  'worker-6': annotationsOf({
    state: 'Confirming',
    ruleset: 'fedcba987654',
    details: { change: { ruleset: 'fedcba987654', step: 'confirming', probes: ['api server', 'lease'] } },
  }),
  'worker-7': annotationsOf({ verifiedAt: ago(2 * 86_400_000) }),
  'worker-8': { 'example.org/owner': 'infra' },
  // What a later version may write, and what nobody should.
  'worker-9': {
    ...annotationsOf({ message: 'red: \u001B[31malarm\u009B2J\nsecond line\u202E' }),
    'node-firewall.io/state': 'Pondering',
    'node-firewall.io/status': '{"drift":{"count":"many"},"warnings":["fine"]}',
  },
}
