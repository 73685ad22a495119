import type { Dataplane, Program } from './dataplane.ts'
import type { Finding } from './finding.ts'

/**
 * Cilium attaches bpf_host to the interfaces of the node (`cil_from_netdev`, earlier `from-netdev`), and with
 * acceleration bpf_xdp (`cil_xdp_entry`). Without them nothing happens before netfilter, whatever its settings say.
 */
const ofCilium = /^(cil_|from-netdev|from_netdev|bpf_host|bpf_xdp)/

/** Felix attaches `cali_tc_preamble` (earlier `calico_from_host_ep`), and `cali_xdp_preamble`. */
const ofCalico = /^(cali_|calico_|xdp_cali)/

/** Whether a program belongs to a dataplane that is judged as a whole. */
export function isKnown(program: Program, dataplane: Dataplane): boolean {
  return isOfCilium(program, dataplane) || ofCalico.test(program.name)
}

/** Who may not ask how Cilium is set may not ask for names of programs either, and then it has most likely made them. */
function isOfCilium({ name }: Program, { cilium }: Dataplane): boolean {
  const isUnknown = cilium !== undefined && Object.keys(cilium).length === 0
  return ofCilium.test(name) || (name === '' && isUnknown)
}

/**
 * - With kube-proxy replacement, Services are translated at the interface: conntrack never hears of what was dialled.
 * - BPF host routing hands packets between the interface and pods with bpf_redirect_peer and bpf_redirect_neigh, past
 *   FORWARD (Cilium, Documentation/operations/performance/tuning.rst, "eBPF Host-Routing").
 *
 * What is for processes of the node goes up to netfilter's INPUT in any case.
 */
export function judgeCilium(dataplane: Dataplane): Finding[] {
  const { cilium, programs, unseen } = dataplane
  const own = programs.filter((program) => isOfCilium(program, dataplane)).map((one) => one.interface)
  const mayBe = cilium === undefined ? [] : unseen
  if (own.length + mayBe.length === 0) return []
  const { replacesKubeProxy, routesInBpf } = cilium ?? {}
  const where = [...new Set([...own, ...mayBe])].join(', ')
  return [
    ...(replacesKubeProxy === false
      ? []
      : [
          {
            what: `Cilium ${replacesKubeProxy === undefined ? 'may translate' : 'translates'} NodePorts, hostPorts and load balancers' addresses in BPF on ${where}, before netfilter: ingress rules for them do not hold where they lead to pods`,
            remedy:
              'close them with NetworkPolicies of those pods, loadBalancerSourceRanges or nodePort.addresses of Cilium',
          },
        ]),
    ...(routesInBpf === false
      ? []
      : [
          {
            what: `Cilium ${routesInBpf === undefined ? 'may route' : 'routes'} packets of pods in BPF, past FORWARD: rules and defaults for pods do not hold, nor do those that keep pods from metadata addresses`,
            remedy: 'use NetworkPolicies, or set bpf.hostLegacyRouting of Cilium to true',
          },
        ]),
  ]
}

/**
 * In its eBPF mode Felix translates Services at the interface and redirects packets straight to and from the devices
 * of pods (Calico, felix/bpf-gpl/tc.c; what has to be masqueraded still takes the host's way). bpfin.cali and
 * bpfout.cali exist in that mode only (felix/dataplane/linux/dataplanedefs).
 */
export function judgeCalico({ programs, hasCalicoDevices }: Dataplane): Finding[] {
  const own = programs.filter(({ name, hook }) => hook !== 'xdp' && ofCalico.test(name))
  const where = own.length > 0 ? ` on ${interfacesOf(own)}` : ''
  const remedy = 'use NetworkPolicies, and a HostEndpoint with GlobalNetworkPolicies that are applyOnForward'
  return [
    ...(own.length === 0 && !hasCalicoDevices
      ? []
      : [
          {
            what: `Calico's eBPF mode translates NodePorts and load balancers' addresses${where} before netfilter, and takes packets of pods past FORWARD: rules for them do not hold`,
            remedy,
          },
        ]),
    ...programs
      .filter(({ name, hook }) => hook === 'xdp' && ofCalico.test(name))
      .map((program) => ({
        what: `Calico's untracked policies on ${program.interface} drop packets before netfilter`,
        remedy: 'allow in them what rules here accept',
      })),
  ]
}

export function interfacesOf(programs: readonly Program[]): string {
  return [...new Set(programs.map((program) => program.interface))].join(', ')
}
