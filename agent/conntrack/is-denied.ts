import type { Policy } from '../policy/policy.ts'
import { usualApiPorts, usualKubeletPort } from '../policy/usual-ports.ts'
import { decideInFlow } from '../policy/verdict.ts'
import type { Decision } from '../policy/verdict.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Connection, NodeView } from './connection.ts'
import type { IsDenied } from './find-denied.ts'

/** An interface that no rule names. */
const nameless = ''

/**
 * Whether a policy denies a connection that stands already: what a first packet of it would meet now. Not by a
 * ruleset that lets standing connections be, unless the node's life hangs on such as this one. Clients have many connections to one place, so answers are kept.
 */
export function judgeBy(policy: Policy): IsDenied {
  const judged = new Map<string, boolean>()
  return (connection) => {
    const key = keyOf(connection)
    const known = judged.get(key)
    if (known !== undefined) return known
    const denied = isDenied(policy, connection)
    judged.set(key, denied)
    return denied
  }
}

/** Rules look at source ports only to know answers of servers (DHCP), which are below this one. */
const firstUserPort = 1024

function keyOf({ flow, family, protocol, from, sourcePort = 0, ...rest }: Connection): string {
  const { dialled, real, icmp, interface: name } = rest
  const port = sourcePort < firstUserPort ? sourcePort : firstUserPort
  const ends = [dialled.address, dialled.port, real.address, real.port]
  return [flow, family, protocol, from, port, ...ends, name, icmp?.type, icmp?.code].join(' ')
}

function isDenied(policy: Policy, connection: Connection): boolean {
  const { flow, family, protocol, from, sourcePort, dialled, real, icmp } = connection
  const first = {
    family,
    protocol,
    from,
    ...(sourcePort === undefined ? {} : { fromPort: sourcePort }),
    dialled,
    real,
    ...interfacesOf(connection),
    ...(icmp === undefined ? {} : { icmp }),
  }
  const decision = decideInFlow(policy, first, flow)
  if (decision === undefined || decision.action === 'accept') return false
  return !isKept(policy, decision) || isVital(connection)
}

function isKept(policy: Policy, { by, flow }: Decision): boolean {
  if (by.ruleset === undefined) return by.kind === 'default' && policy.keepsEstablishedByDefault.has(flow)
  return policy.keepsEstablished.has(by.ruleset)
}

/**
 * Between the node and API servers. A change is judged by them: on connections of before it the Lease would be renewed
 * and logs be read, and the node cut off when they end, long after the change was confirmed.
 */
function isVital({ flow, protocol, dialled, real }: Connection): boolean {
  if (protocol !== protocolNumbers.tcp) return false
  if (flow === 'ingress') return real.port === usualKubeletPort
  return (
    flow === 'egress' &&
    [dialled.port, real.port].some((port) => port !== undefined && usualApiPorts.includes(port))
  )
}

/** Each flow looks at one of the two; the other only says which way the connection goes past the node. */
function interfacesOf({ flow, interface: name = nameless }: Connection): { in?: string; out?: string } {
  switch (flow) {
    case 'ingress':
      return { in: name }
    case 'egress':
      return { out: name }
    case 'podIngress':
      return { in: name, out: nameless }
    case 'podEgress':
      return { in: nameless, out: name }
  }
}

/** What of a policy tells which way standing connections go past the node. */
export function viewOf({ self, external, flows }: Policy): NodeView {
  const rules = Object.values(flows).flatMap((steps) =>
    steps.flatMap((step) => (step.kind === 'audit' ? step.rules : [step])),
  )
  return {
    self: new Set(self.map(({ address }) => address)),
    external,
    named: [...new Set(rules.flatMap(({ match }) => match.interfaces ?? []))],
  }
}
