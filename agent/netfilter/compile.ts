import type { Policy, PolicyRule, PolicyStep } from '../policy/policy.ts'
import { formatCidr, parseCidr } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Flow } from '../ruleset/ruleset.ts'
import { chainNames, markerRule } from './chain.ts'
import type { Chain, Desired } from './chain.ts'
import { commentMatch, compileSteps, join } from './compile-steps.ts'
import type { Compiled, StepContext } from './compile-steps.ts'
import type { LogTarget } from './log-text.ts'
import { createSetRegister } from './set-register.ts'

/**
 * Compiles a policy into the chains of one family, in the very text that `iptables-save` prints for them
 * (iptables 1.8, both backends), so that verification is equality of text.
 *
 * A packet that is not the first of its connection leaves at the first rule. The first one of a connection goes
 *
 *     INPUT ── node-firewall ──┬── addressed to the node, translated: node-firewall-dnat
 *                              ├── from a pod to a metadata address: node-firewall-pods-out
 *                              └── addressed to the node as it is: the rest of node-firewall
 *     FORWARD ── node-firewall-fwd ──┬── came in from outside, translated: node-firewall-dnat
 *                                    ├── routed straight to a pod: node-firewall-pods-in
 *                                    └── from a pod: node-firewall-pods-out
 *     OUTPUT ── node-firewall-out
 */
export function compilePolicy(policy: Policy, family: Family, logTarget: LogTarget = 'nflog'): Desired {
  const sets = createSetRegister(family, policy)
  const layout = createLayout(policy, family)
  const base = { family, sets, audited: false, logTarget }
  const compile = (flow: Flow, context: Pick<StepContext, 'chain' | 'view' | 'interfaceFlag'>) =>
    compileSteps(rest(policy.flows[flow]), { ...base, ...context })

  const input = compile('ingress', ingressContext(chainNames.input, 'direct'))
  const parts = new Map<string, Compiled>([
    [chainNames.input, { ...input, rules: [...layout.inputHead(), ...input.rules, markerRule(policy.hash)] }],
  ])
  if (layout.forwards) parts.set(chainNames.forward, { rules: layout.forwardRules(), chains: [] })
  if (layout.has('ingress')) {
    const steps = rest(policy.flows.ingress).filter(({ kind }) => kind !== 'failsafe')
    const context = ingressContext(chainNames.translated, 'dialled')
    parts.set(chainNames.translated, compileSteps(steps, { ...base, ...context }))
  }
  if (layout.has('podIngress')) {
    parts.set(chainNames.podIngress, compile('podIngress', ingressContext(chainNames.podIngress, 'direct')))
  }
  if (layout.has('podEgress')) {
    const steps = rest(policy.flows.podEgress)
    parts.set(chainNames.podEgress, compileEgress(steps, { ...base, chain: chainNames.podEgress }))
  }
  if (layout.has('egress')) {
    const steps = rest(policy.flows.egress)
    const compiled = compileEgress(steps, { ...base, chain: chainNames.output })
    parts.set(chainNames.output, { ...compiled, rules: [...layout.outputHead(), ...compiled.rules] })
  }
  return {
    chains: uniqueChains([...parts].flatMap(([name, { rules, chains }]) => [{ name, rules }, ...chains])),
    jumps: {
      INPUT: chainNames.input,
      ...(layout.forwards ? { FORWARD: chainNames.forward } : {}),
      ...(layout.has('egress') ? { OUTPUT: chainNames.output } : {}),
    },
    sets: sets.all(),
  }
}

function ingressContext(chain: string, view: 'direct' | 'dialled') {
  return { chain, view, interfaceFlag: '-i' } as const
}

/** What goes out is matched by where it goes, and by what was dialled where this node has translated it. */
function compileEgress(
  steps: readonly PolicyStep[],
  base: Omit<StepContext, 'view' | 'interfaceFlag'>,
): Compiled {
  return compileSteps(steps, { ...base, view: 'either', interfaceFlag: '-o' })
}

function uniqueChains(chains: readonly Chain[]): Chain[] {
  return [...new Map(chains.map((chain) => [chain.name, chain])).values()]
}

/** The rules that lead packets to the chain of their way. */
function createLayout(policy: Policy, family: Family) {
  const external = policy.external.includes('any') ? [''] : policy.external.map((name) => `-i ${name}`)
  const self = policy.self.filter((address) => address.family === family)
  const metadata = builtInSets.metadata.map(parseCidr).filter((address) => address.family === family)
  const has = (flow: Flow) => policy.flows[flow].some(({ kind }) => kind !== 'failsafe')
  const translated = '-m conntrack --ctstate DNAT'

  /** What outsiders dialled is the node's or somebody's behind it; what pods dialled only if it is the node's. */
  const toTranslated = (): string[] => {
    if (!has('ingress')) return []
    const ofInsiders = lookInside(policy)
      ? self.map(({ address }) => `${translated} --ctorigdst ${address} -j ${chainNames.translated}`)
      : []
    return [...external.map((input) => join(input, translated, `-g ${chainNames.translated}`)), ...ofInsiders]
  }
  return {
    has,
    forwards: has('ingress') || has('podIngress') || has('podEgress'),
    inputHead(): string[] {
      const toPods = has('podEgress') ? `-g ${chainNames.podEgress}` : '-j RETURN'
      const toMetadata = has('podEgress') ? metadata : []
      const ofOutsiders = has('ingress') ? [] : external.map((input) => join(input, translated, '-j RETURN'))
      return [
        ...headRules(policy.flows.ingress, '-i'),
        ...toTranslated(),
        ...ofOutsiders,
        // Nothing else that was translated is addressed to the node: it comes from a pod.
        join(translated, commentMatch('failsafe translated'), toPods),
        ...toMetadata.map((cidr) => `-d ${formatCidr(cidr)} -j ${chainNames.podEgress}`),
      ]
    },
    forwardRules(): string[] {
      return [
        ...headRules(policy.flows.podIngress, '-i'),
        ...toTranslated(),
        ...(has('podIngress') ? [`-m conntrack ! --ctstate DNAT -j ${chainNames.podIngress}`] : []),
        ...(has('podEgress')
          ? [...external.map((input) => join(input, '-j RETURN')), `-j ${chainNames.podEgress}`]
          : []),
      ]
    },
    outputHead: () => [
      ...headRules(policy.flows.egress, '-o'),
      // What IPVS forwards to the backend of a Service comes this way, with the address of its client.
      `-m addrtype ! --src-type LOCAL ${commentMatch('failsafe forwarded by ipvs')} -j RETURN`,
    ],
  }
}

/** Whether rules for what is addressed to the node look at other interfaces than the external ones. */
function lookInside({ flows, external }: Policy): boolean {
  const rules = flows.ingress
    .flatMap((step) => (step.kind === 'audit' ? step.rules : [step]))
    .filter(({ kind }) => kind === 'rule')
  if (external.includes('any')) return false
  return rules.some(({ match }) => match.interfaces?.every((name) => external.includes(name)) !== true)
}

/** What ends most packets' way: they stand before everything else of their base chain. */
function isHead(step: PolicyStep): step is PolicyRule {
  if (step.kind !== 'failsafe') return false
  return step.match.states !== undefined || step.match.interfaces?.includes('lo') === true
}

function headRules(steps: readonly PolicyStep[], flag: '-i' | '-o'): string[] {
  return steps.filter(isHead).map(({ match, kind, name }) => {
    const interfaces = match.interfaces?.map((name) => `${flag} ${name}`) ?? []
    const states = match.states === undefined ? '' : `-m conntrack --ctstate ${match.states.join(',')}`
    return join(...interfaces, states, commentMatch(`${kind} ${name}`), '-j RETURN')
  })
}

function rest(steps: readonly PolicyStep[]): PolicyStep[] {
  return steps.filter((step) => !isHead(step))
}
