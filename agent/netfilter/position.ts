import { isOurChain, jumpRule } from './chain.ts'
import type { BaseChain } from './chain.ts'
import type { SavedChain, SavedTable } from './saved-table.ts'

/** How a base chain leads to ours. */
export type Position = {
  /** Every rule of the base chain that leads to a chain of ours, as it is written there. */
  readonly jumps: readonly string[]
  /** The first rule before ours that can accept or drop, and who it belongs to; absent: none. */
  readonly precededBy?: { readonly rule: string; readonly movable: boolean }
  /** ACCEPT or DROP: what the base chain does with what nobody decided. */
  readonly policy: string
}

/**
 * Cilium's chains accept what comes from and goes to its proxy there, by marks that no client can set. Not so its
 * CILIUM_FORWARD: it accepts whatever comes from a pod, and whatever is routed to one.
 */
const harmlessBefore: Readonly<Record<BaseChain, RegExp>> = {
  INPUT: /^CILIUM_/,
  OUTPUT: /^CILIUM_/,
  FORWARD: /^(?!)/,
}

/**
 * Chains of Kubernetes stand before everybody's by design and may deny. What they accept would go past our rules:
 * kube-proxy's KUBE-FORWARD what it has marked for masquerading, NodePorts among it; KUBE-NODEPORTS ports for health
 * checks; those of kube-router (k3s) what complies with NetworkPolicies.
 */
const mayDeny = /^KUBE-/
const denials = new Set(['DROP', 'REJECT'])

/**
 * Felix puts its jumps back to the top with each refresh: moving before them would start a war. So does kube-router,
 * whose chains of INPUT and OUTPUT accept nothing but connections of pods of this node; those of FORWARD are worth it.
 */
const immovableBefore: Readonly<Record<BaseChain, RegExp>> = {
  INPUT: /^(cali-|KUBE-ROUTER-)/,
  OUTPUT: /^(cali-|KUBE-ROUTER-)/,
  FORWARD: /^cali-/,
}

const passingTargets = new Set(
  `AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG MARK NFLOG NOTRACK RATEEST
   SECMARK SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG`.split(/\s+/),
)

export function readPosition(table: SavedTable, base: BaseChain): Position {
  const chain = table.get(base)
  const rules = chain?.rules.map(({ text }) => text) ?? []
  const first = rules.findIndex(leadsToOurs)
  const before = first === -1 ? [] : rules.slice(0, first)
  const decides = createDecider(table, harmlessBefore[base])
  // What a chain that was gone to leaves undecided does not come back to ours.
  const preceding = before.find((rule) => isGoto(rule) || decides(rule))
  return {
    jumps: rules.filter(leadsToOurs),
    ...(preceding === undefined ? {} : { precededBy: precededBy(preceding, base) }),
    policy: chain?.policy ?? 'ACCEPT',
  }
}

/** Whether the jump stands exactly once, in the form we give it. */
export function isSoundJump({ jumps }: Position, chain: string): boolean {
  return jumps.length === 1 && jumps[0] === jumpRule(chain)
}

/** The user chain or target a rule leads to; what stands in quotes (comments, prefixes of logs) is no target. */
export function targetOf(rule: string): string | undefined {
  return /(?:^| )-[jg] (\S+)/.exec(unquoted(rule))?.[1]
}

function isGoto(rule: string): boolean {
  return /(?:^| )-g /.test(unquoted(rule))
}

function unquoted(rule: string): string {
  return rule.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
}

export function leadsToOurs(rule: string): boolean {
  return isOurChain(targetOf(rule) ?? '')
}

function precededBy(rule: string, base: BaseChain) {
  return { rule, movable: !immovableBefore[base].test(targetOf(rule) ?? '') }
}

/** Tells whether a packet's fate can be settled by a rule, or by a chain it leads to. */
function createDecider(table: SavedTable, harmless: RegExp) {
  const decides = (rule: string, denies = true, seen = new Set<string>()): boolean => {
    const target = targetOf(rule)
    if (target === undefined || passingTargets.has(target) || harmless.test(target)) return false
    const chain: SavedChain | undefined = table.get(target)
    if (chain === undefined) return denies || !denials.has(target)
    const counts = denies && !mayDeny.test(target)
    const key = `${target} ${counts}`
    if (seen.has(key)) return false
    seen.add(key)
    return chain.rules.some(({ text }) => targetOf(text) !== 'RETURN' && decides(text, counts, seen))
  }
  return decides
}
