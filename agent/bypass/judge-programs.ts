import { interfacesOf, isKnown } from './cni.ts'
import type { Dataplane, Program } from './dataplane.ts'
import type { Finding } from './finding.ts'

/**
 * BPF programs of which nothing but a name is known, and Open vSwitch. A program sees every packet before netfilter
 * and can drop it, send it elsewhere or change it (bpf-helpers(7), bpf_redirect); most only count.
 */
export function judgePrograms(dataplane: Dataplane): Finding[] {
  const { programs, switched } = dataplane
  const unknown = programs.filter((program) => !isKnown(program, dataplane))
  const groups = Map.groupBy(unknown, ({ hook, name }) => `${hook} ${name}`)
  return [
    ...[...groups.values()].map((group) => describe(group)),
    ...switched.map((name) => ({
      what: `${name} belongs to Open vSwitch, whose flows may take packets for NodePorts and pods past netfilter`,
      remedy: `look at them with ovs-ofctl dump-flows ${name}, and use NetworkPolicies for what they take`,
    })),
  ]
}

/** What may be there, and may not be looked for. */
export function warnOfUnseen({ unseen }: Dataplane): string[] {
  if (unseen.length === 0) return []
  return [
    `BPF programs (tcx) on ${unseen.join(', ')} cannot be looked for without CAP_SYS_ADMIN: whether any drops packets before netfilter, or sends them past it, is not known`,
  ]
}

function describe(group: readonly Program[]): Finding {
  const [{ hook, name } = { hook: 'tc', name: '' }] = group
  const where = interfacesOf(group)
  const program = name === '' ? 'a BPF program without a name' : `the BPF program ${name}`
  return {
    what: `${program} (${hook}) on ${where} sees packets before netfilter, and may drop them or send them past it`,
    remedy: `find out who attached it with bpftool net show`,
  }
}
