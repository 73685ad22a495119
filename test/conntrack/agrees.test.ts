import fc from 'fast-check'
import { expect, test } from 'vitest'
import { connectionsOf } from '../../agent/conntrack/connection.ts'
import type { Entry } from '../../agent/conntrack/entry.ts'
import { judgeBy, viewOf } from '../../agent/conntrack/is-denied.ts'
import type { Connection } from '../../agent/policy/connection.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import { cluster, connections, now, rulesets } from '../policy/arbitrary.ts'

const own = ['192.0.2.1', '2001:db8::1']
const facts = { external: ['eth0'], interfaces: ['eth0', 'eth1', 'cni0'], addresses: own.map(parseCidr) }
const defaults = fc.record(
  Object.fromEntries(flows.map((flow) => [flow, fc.constantFrom('accept' as const, 'drop' as const)])),
  { requiredKeys: [] },
)

/** What conntrack holds of it once it stands. */
function entryOf({ family, protocol, from, dialled, real, icmp }: Connection): Entry {
  const ends = (port: number | undefined) => (icmp === undefined ? { dport: port ?? 0 } : {})
  const source = icmp === undefined ? { sport: 40_000 } : {}
  return {
    family,
    protocol,
    orig: { src: from, dst: dialled.address, ...source, ...ends(dialled.port) },
    reply: {
      src: real.address,
      dst: from,
      ...(icmp === undefined ? { sport: real.port ?? 0, dport: 40_000 } : {}),
    },
    ...(icmp === undefined ? {} : { icmp: { ...icmp, id: 1 } }),
    dnat: dialled.address !== real.address || (icmp === undefined && dialled.port !== real.port),
    snat: false,
    zone: 0,
  }
}

/** Only the node's own packets have its address, and what ends here goes to one. */
function isPossible({ in: input, out, from, real, dialled, icmp }: Connection): boolean {
  if (icmp !== undefined && real.address !== dialled.address) return false
  if (input === undefined) return own.includes(from) && !own.includes(real.address)
  return !own.includes(from) && own.includes(real.address) === (out === undefined)
}

test('what is cut is what would not be let in now', () => {
  fc.assert(
    fc.property(
      rulesets(),
      defaults,
      cluster(),
      connections().filter(isPossible),
      (some, sets, known, made) => {
        const all = some.map((ruleset) => ({ ...ruleset, defaults: sets }))
        const policy = resolvePolicy(all, { facts, cluster: known, now })
        const noPorts = ({ address }: { address: string }) => ({ address })
        const connection =
          made.icmp === undefined
            ? { ...made, fromPort: 40_000 }
            : { ...made, dialled: noPorts(made.dialled), real: noPorts(made.real) }
        const { action } = decideConnection(policy, connection)
        const seen = connectionsOf(entryOf(connection), viewOf(policy), {
          in: connection.in,
          out: connection.out,
        })
        expect(seen.some(judgeBy(policy))).toBe(action !== 'accept')
      },
    ),
    { numRuns: 2_000 },
  )
})
