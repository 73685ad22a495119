import type { Connection, Destination } from '../../agent/policy/connection.ts'
import type { Policy } from '../../agent/policy/policy.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { protocolNumbers } from '../../agent/ruleset/protocol.ts'
import { apiServerPort, controlPlaneAddress, kubeletPort } from '../sandbox/control-plane/addresses.ts'
import { vitals } from '../sandbox/control-plane/vitals.ts'
import type { Vital, Ways } from '../sandbox/control-plane/vitals.ts'

/** What a policy takes from a node whose connections go these ways, by what its rules say of each. */
export function expectCuts(policy: Policy, ways: Ways): Vital[] {
  const connections: Readonly<Record<Vital, Connection>> = {
    'api server': toApiServer(ways, ways.apiServer),
    lease: toApiServer(ways, ways.kubelet),
    'kubelet log': toKubelet(ways),
    'cluster dns': toDns(ways),
  }
  return vitals.filter((vital) => decideConnection(policy, connections[vital]).action !== 'accept')
}

function toApiServer({ family }: Ways, via: Ways['apiServer']): Connection {
  const real = {
    address: controlPlaneAddress[via === 'service' ? 'endpoint' : via][family],
    port: apiServerPort,
  }
  const dialled = via === 'service' ? { address: controlPlaneAddress.service[family], port: 443 } : real
  return fromNode({ family }, 'tcp', dialled, real)
}

function toDns({ family }: Ways): Connection {
  const { dns, dnsPod } = controlPlaneAddress
  return fromNode(
    { family },
    'udp',
    { address: dns[family], port: 53 },
    { address: dnsPod[family], port: 53 },
  )
}

function toKubelet({ family, calls }: Ways): Connection {
  const destination = { address: controlPlaneAddress.nodePrivate[family], port: kubeletPort }
  return {
    family,
    protocol: protocolNumbers.tcp,
    from: controlPlaneAddress[calls][family],
    dialled: destination,
    real: destination,
    in: 'eth0',
  }
}

function fromNode(
  { family }: Pick<Ways, 'family'>,
  protocol: 'tcp' | 'udp',
  dialled: Destination,
  real: Destination,
): Connection {
  const from = controlPlaneAddress.node[family]
  return { family, protocol: protocolNumbers[protocol], from, dialled, real, out: 'eth0' }
}
