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
 * Chains of others that stand before everybody's by design, and accept nothing that a rule here would deny.
 * KUBE-FORWARD is none of them: it accepts what kube-proxy has marked for masquerading, NodePorts among it.
 */
const harmlessBefore: Readonly<Record<BaseChain, RegExp>> = {
  INPUT: /^(KUBE-|CILIUM_)/,
  OUTPUT: /^(KUBE-|CILIUM_)/,
  FORWARD: /^(KUBE-(PROXY-FIREWALL|SERVICES|EXTERNAL-SERVICES|NODEPORTS)$|CILIUM_)/,
}

/** Felix puts its jumps back to the top with each refresh: moving before them would start a war. */
const immovableBefore = /^cali-/

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
  const preceding = before.find((rule) => decides(rule))
  return {
    jumps: rules.filter(leadsToOurs),
    ...(preceding === undefined ? {} : { precededBy: precededBy(preceding) }),
    policy: chain?.policy ?? 'ACCEPT',
  }
}

/** Whether the jump stands exactly once, in the form we give it. */
export function isSoundJump({ jumps }: Position, chain: string): boolean {
  return jumps.length === 1 && jumps[0] === jumpRule(chain)
}

/** The user chain or target a rule leads to; what stands in quotes (comments, prefixes of logs) is no target. */
export function targetOf(rule: string): string | undefined {
  const unquoted = rule.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
  return /(?:^| )-[jg] (\S+)/.exec(unquoted)?.[1]
}

export function leadsToOurs(rule: string): boolean {
  return isOurChain(targetOf(rule) ?? '')
}

function precededBy(rule: string) {
  return { rule, movable: !immovableBefore.test(targetOf(rule) ?? '') }
}

/** Tells whether a packet's fate can be settled by a rule, or by a chain it leads to. */
function createDecider(table: SavedTable, harmless: RegExp) {
  const decides = (rule: string, seen = new Set<string>()): boolean => {
    const target = targetOf(rule)
    if (target === undefined || passingTargets.has(target) || harmless.test(target)) return false
    const chain: SavedChain | undefined = table.get(target)
    if (chain === undefined) return true
    if (seen.has(target)) return false
    seen.add(target)
    return chain.rules.some(({ text }) => targetOf(text) !== 'RETURN' && decides(text, seen))
  }
  return decides
}
