import type { Policy, PolicyRule } from '../policy/policy.ts'
import { isOurChain } from './chain.ts'
import { dropsInvalid, nameOf } from './compile-steps.ts'
import { targetOf } from './position.ts'
import type { SavedChain, SavedTable } from './saved-table.ts'

/**
 * What became of packets: `audit` would have been denied, `limit` was dropped as it exceeded the limit of a rule. All but
 * the first packets of a connection go past the rules, so these are connections rather than packets.
 */
export type CountedAction = 'accept' | 'drop' | 'reject' | 'audit' | 'limit'

export type RuleCount = {
  /** A rule of a ruleset, or the default of a flow. */
  readonly rule: PolicyRule
  readonly action: CountedAction
  readonly packets: number
  readonly bytes: number
}

/** So many rules are counted, the first ones in the order of evaluation: what they are kept in is somebody's memory. */
export const mostCounted = 500

/**
 * Adds up the counters of the iptables rules that each rule of a policy has become, of one family. Failsafes are left
 * out, as is whatever the policy does not know: nobody can make up names here.
 */
export function countRules(table: SavedTable, policy: Policy, most = mostCounted): readonly RuleCount[] {
  const known = new Map(countable(policy).slice(0, most))
  const counts = new Map<string, RuleCount>()
  for (const [chain, saved] of table) {
    if (!isOurChain(chain)) continue
    for (const { counters, text } of saved.rules) {
      const found = read(text, chain, saved, known)
      if (found === undefined) continue
      const key = `${nameOf(found.rule)}\n${found.action}`
      const [packets = 0, bytes = 0] = counters.slice(1, -1).split(':').map(Number)
      const before = counts.get(key) ?? { packets: 0, bytes: 0 }
      counts.set(key, { ...found, packets: before.packets + packets, bytes: before.bytes + bytes })
    }
  }
  return [...counts.values()]
}

/** How many rules of a policy are not counted, as they are too many. */
export function countUncounted(policy: Policy, most = mostCounted): number {
  return Math.max(0, countable(policy).length - most)
}

/** Rules and defaults of all flows by the names that stand beside them in the kernel. */
function countable({ flows }: Policy): [string, PolicyRule][] {
  const rules = Object.values(flows)
    .flat()
    .flatMap((step) => (step.kind === 'audit' ? step.rules : [step]))
    .filter(({ kind }) => kind !== 'failsafe')
  return [...new Map(rules.map((rule) => [nameOf(rule), rule]))]
}

type Known = ReadonlyMap<string, PolicyRule>
type Read = Pick<RuleCount, 'rule' | 'action'>

/** Whose rule a line is, and what it did; nothing for one that only logs, or leads to a chain that counts. */
function read(text: string, name: string, chain: SavedChain, known: Known): Read | undefined {
  const target = targetOf(text)
  if (target === 'LOG' || isLimitChain(target ?? '')) return undefined
  const found = identify(text, known, isLimitChain(name) ? ofLimit : ofRules)
  // What is left at the end of the chain of a limit was within it.
  if (found === undefined) return text === '-j RETURN' ? ownerOf(chain, known) : undefined
  const { rule, suffix } = found
  if (dropsInvalid(text)) return { rule, action: 'reject' }
  if (suffix === '') return { rule, action: verdicts[target ?? ''] ?? 'audit' }
  return { rule, action: suffix === audited || target === 'RETURN' ? 'audit' : 'limit' }
}

const verdicts: Readonly<Record<string, CountedAction>> = { RETURN: 'accept', DROP: 'drop', REJECT: 'reject' }

function ownerOf({ rules }: SavedChain, known: Known): Read | undefined {
  const [first, second] = rules.map(({ text }) => identify(text, known, ofLimit))
  const found = first ?? second
  return found === undefined ? undefined : { rule: found.rule, action: 'accept' }
}

const audited = ' audited'
/** What stands behind the name of a rule: in a chain that a limit has, and in all others. */
const ofLimit = [' over its rate', ' over its connections']
const ofRules = ['', audited]

function identify(
  text: string,
  known: Known,
  suffixes: readonly string[],
): { rule: PolicyRule; suffix: string } | undefined {
  const [, quoted, bare] = /--comment (?:"([^"]*)"|(\S+))/.exec(text) ?? []
  const comment = quoted ?? bare ?? ''
  for (const suffix of suffixes) {
    if (!comment.endsWith(suffix)) continue
    const rule = known.get(comment.slice(0, comment.length - suffix.length))
    if (rule !== undefined) return { rule, suffix }
  }
  return undefined
}

function isLimitChain(name: string): boolean {
  return name.startsWith('node-firewall-l-')
}
