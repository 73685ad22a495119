import { failsafeNames } from '../ruleset/failsafe.ts'
import type { FailsafeName } from '../ruleset/failsafe.ts'
import { flows } from '../ruleset/ruleset.ts'
import type { Flow, Ruleset } from '../ruleset/ruleset.ts'
import { isKnown } from './failsafe-rule.ts'
import { isUnknownPort } from './failsafe-tunnels.ts'
import { followsCluster, usedClusterSets } from './needs-cluster.ts'
import type { Surroundings } from './resolve.ts'
import { usualKubeletPort } from './usual-ports.ts'

/** What the author of rulesets should know of their effect on one node, each a sentence. */
export function warnOfPolicy(rulesets: readonly Ruleset[], surroundings: Surroundings): string[] {
  return [
    ...(closesSomething(rulesets) ? [] : [nothingClosed]),
    ...findSwallowed(rulesets).map((ruleset) => `ruleset ${ruleset.name}: ${swallowed}`),
    ...absentInterfaces(rulesets, surroundings),
    ...unknownSets(rulesets, surroundings),
    ...unknownToFailsafes(rulesets, surroundings),
    ...expired(rulesets, surroundings),
    ...switchedOff(rulesets),
    ...unknownPorts(surroundings),
    ...unseen(rulesets, surroundings),
  ]
}

export const nothingClosed = 'nothing is closed: no ruleset sets a default to drop or reject'

/** Whether any ruleset denies what no rule mentions, in any direction. */
export function closesSomething(rulesets: readonly Ruleset[]): boolean {
  return rulesets.some(({ defaults }) =>
    flows.some((flow) => defaults[flow] === 'drop' || defaults[flow] === 'reject'),
  )
}

export const swallowed =
  'interfaces.external is any, and what comes in on an external interface does not come from a pod: rules and defaults for what pods open match nothing; name the interfaces instead'

/** Rulesets that leave nothing to the rules and defaults for what pods open, where there are any. */
export function findSwallowed(rulesets: readonly Ruleset[]): Ruleset[] {
  const decisive = decisiveOf(rulesets)
  const isMeant = decisive.some(
    ({ defaults: { podEgress = 'accept' }, rules }) =>
      podEgress !== 'accept' || rules.some(({ flow }) => flow === 'podEgress'),
  )
  return isMeant ? decisive.filter(({ external }) => external.includes('any')) : []
}

/** Those that say which interfaces are external: rulesets in audit mode have a say only where nothing is enforced. */
export function decisiveOf(rulesets: readonly Ruleset[]): readonly Ruleset[] {
  const enforced = rulesets.filter(({ mode }) => mode === 'enforce')
  return enforced.length > 0 ? enforced : rulesets
}

function absentInterfaces(rulesets: readonly Ruleset[], { facts }: Surroundings): string[] {
  const named = rulesets.flatMap(({ external, rules }) => [
    ...(external === 'auto' ? [] : external),
    ...rules.flatMap(({ interfaces }) => interfaces ?? []),
  ])
  return [...new Set(named)]
    .filter((name) => !hasInterface([name], facts.interfaces))
    .map((name) => `no interface is called ${name} here: what is limited to it matches nothing`)
}

/** Whether any of these names, `any` and patterns such as `bond+` among them, stands for an interface that is there. */
export function hasInterface(names: readonly string[], present: readonly string[]): boolean {
  return names.some((name) => name === 'any' || present.some((interfaceName) => covers(name, interfaceName)))
}

function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

function unknownSets(rulesets: readonly Ruleset[], { cluster }: Surroundings): string[] {
  const unknown = usedClusterSets(rulesets).filter((set) => cluster[set] === undefined)
  return unknown.map(
    (set) => `the set ${set} could not be read yet: rules that name it match whom it held before, or nobody`,
  )
}

/** Failsafes need them wherever the node is closed; that it is so a moment after the start is worth a word, too. */
function unknownToFailsafes(rulesets: readonly Ruleset[], { facts, cluster }: Surroundings): string[] {
  const sources = { facts, cluster, follows: followsCluster(rulesets, cluster) }
  const unknown = (['nodes', 'apiServers'] as const).filter((set) => !isKnown(set, sources))
  if (unknown.length === 0 || !sources.follows) return []
  return [`failsafes let private networks pass, since ${unknown.join(' and ')} could not be read yet`]
}

function expired(rulesets: readonly Ruleset[], { now }: Surroundings): string[] {
  return rulesets.flatMap(({ name, rules }) =>
    rules
      .filter(({ expiresAt = Infinity }) => expiresAt <= now)
      .map((rule) => `rule "${rule.name}" of ruleset ${name} has expired: it is not there any more`),
  )
}

/** What is lost without a failsafe. */
const losses: Readonly<Record<FailsafeName, string>> = {
  dhcp: 'the node can lose its address when its lease ends',
  kubelet: 'API servers can lose this kubelet, and with it logs, exec and metrics',
  apiServer: 'nodes can lose the API server that runs here',
  etcd: 'API servers and the other members can lose the etcd that runs here',
  tunnels: 'pods of different nodes can lose each other',
  dns: 'names cannot be resolved, so that images are not pulled',
  apiServers: 'kubelet and agent can lose the API servers, and the node becomes NotReady',
}

/** What to say of the failsafes that a ruleset switches off. */
export function describeSwitchedOff({
  mode,
  failsafe,
}: Ruleset): { readonly failsafe: FailsafeName; readonly loss: string }[] {
  if (mode === 'audit') return []
  const names = failsafeNames.filter((name) => failsafe[name] === 'off')
  return names.map((name) => ({ failsafe: name, loss: `${losses[name]}, unless a rule accepts it` }))
}

function switchedOff(rulesets: readonly Ruleset[]): string[] {
  return rulesets.flatMap((ruleset) =>
    describeSwitchedOff(ruleset).map(
      ({ failsafe, loss }) => `failsafe ${failsafe} is switched off by ruleset ${ruleset.name}: ${loss}`,
    ),
  )
}

function unknownPorts({ facts: { tunnels = [] } }: Surroundings): string[] {
  return tunnels
    .filter(isUnknownPort)
    .map(
      ({ kind, device = 'several devices' }) =>
        `no failsafe lets in ${kind} of ${device}: the port it listens on is not known`,
    )
}

/** What failsafes would follow from, had somebody seen it, where what they let pass is closed. */
function unseen(rulesets: readonly Ruleset[], { facts, cluster }: Surroundings): string[] {
  if (facts.onlyNetwork !== true) return []
  const enforced = rulesets.filter(({ mode }) => mode === 'enforce')
  const closes = (flow: Flow) =>
    enforced.some(({ defaults }) => defaults[flow] === 'drop' || defaults[flow] === 'reject')
  const isLeft = (name: FailsafeName) => enforced.every(({ failsafe }) => failsafe[name] === undefined)
  const { ports: { kubelet } = {}, resolvers } = facts
  return [
    ...('nodes' in cluster && kubelet === undefined && closes('ingress') && isLeft('kubelet')
      ? [
          `nothing listens on ${usualKubeletPort}, and processes of the host cannot be seen: if the kubelet has another port, API servers lose it unless a rule accepts that`,
        ]
      : []),
    ...(resolvers === undefined && closes('egress') && isLeft('dns')
      ? [
          "the host's name servers cannot be seen, so failsafe dns lets port 53 of anybody pass: name them in failsafe.dns",
        ]
      : []),
  ]
}
