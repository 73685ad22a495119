import type { AuditedRuleset, PolicyRule, PolicyStep } from '../policy/policy.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import { auditChainName, limitChainName } from './chain.ts'
import type { Chain } from './chain.ts'
import { connectionLimitMatch, rateLimitMatch } from './limit-text.ts'
import { logMatchAndTarget } from './log-text.ts'
import type { LogTarget, LogVerdict } from './log-text.ts'
import { matchTexts } from './match-text.ts'
import type { MatchContext } from './match-text.ts'

export type StepContext = MatchContext & {
  /** Tells chains that are made for one step in several chains from each other. */
  readonly chain: string
  /** Nothing is denied: what would be is counted and logged. */
  readonly audited: boolean
  readonly logTarget: LogTarget
}

/** Rules of one chain, and the chains that only they lead to. */
export type Compiled = { readonly rules: readonly string[]; readonly chains: readonly Chain[] }

/** Compiles steps of a policy, in their order, into the text `iptables-save` prints for them. */
export function compileSteps(steps: readonly PolicyStep[], context: StepContext): Compiled {
  const parts = steps.map((step) =>
    step.kind === 'audit' ? compileAudited(step, context) : compileRule(step, context),
  )
  const chains = parts.flatMap((part) => part.chains)
  return {
    rules: parts.flatMap(({ rules }) => rules),
    // A rule with a limit may be compiled into several chains, and all of them lead to the one that counts.
    chains: [...new Map(chains.map((chain) => [chain.name, chain])).values()],
  }
}

/** A ruleset in audit mode has a chain of its own, from which everything returns. */
function compileAudited({ ruleset, rules }: AuditedRuleset, context: StepContext): Compiled {
  const name = auditChainName(`${context.chain} ${ruleset}`)
  const compiled = compileSteps(rules, { ...context, chain: name, audited: true })
  return {
    rules: [`${commentMatch(`audit ${ruleset}`)} -j ${name}`],
    chains: [{ name, rules: compiled.rules }, ...compiled.chains],
  }
}

/** The iptables rules one policy rule becomes: one for each combination that a single rule cannot hold. */
function compileRule(rule: PolicyRule, context: StepContext): Compiled {
  const passes = rule.action !== 'accept' && (context.audited || rule.audit)
  const limited = limitChain(rule, context)
  // Of a rule that drops what exceeds a limit, only that is worth a line in the log: its chain writes it.
  const logs = (rule.log || passes) && (limited === undefined || rule.action === 'accept')
  const matches = matchTexts(rule.match, context, rule.action === 'reject' && !passes)
  const rules = matches.flatMap(({ text, protocol, isTracked }) => [
    ...(logs ? [join(text, logText(rule, passes ? 'audit' : rule.action, context.logTarget))] : []),
    ...(resets(protocol) && !isTracked
      ? [join(text, invalid, commentMatch(commentOf(rule)), '-j DROP')]
      : []),
    join(text, commentMatch(passes ? `${nameOf(rule)} audited` : commentOf(rule)), target(protocol)),
  ])
  return { rules, chains: limited === undefined || matches.length === 0 ? [] : limited }

  function resets(protocol: Protocol): boolean {
    return rule.action === 'reject' && !passes && protocol === protocolNumbers.tcp
  }

  function target(protocol: Protocol): string {
    if (limited !== undefined) return `${rule.action === 'accept' ? '-g' : '-j'} ${limited[0].name}`
    // A rule that is audited alone is only counted; a whole ruleset ends at its first match.
    if (passes) return context.audited ? '-j RETURN' : ''
    return verdict(rule, protocol, context)
  }
}

/**
 * What conntrack cannot place may well be part of a connection that is fine, as what comes out of its window: a reset
 * in answer would end that (iptables-extensions(8), REJECT).
 */
const invalid = '-m conntrack --ctstate INVALID'

/** Whether a rule drops what is INVALID in front of one that rejects the rest of the same packets. */
export function dropsInvalid(text: string): boolean {
  return text.includes(invalid)
}

/** Accept is RETURN: it says "no objection" and leaves what stands behind this chain its own say. */
function verdict({ action }: PolicyRule, protocol: Protocol, { family }: StepContext): string {
  switch (action) {
    case 'accept':
      return '-j RETURN'
    case 'drop':
      return '-j DROP'
    case 'reject':
      if (protocol === protocolNumbers.tcp) return '-j REJECT --reject-with tcp-reset'
      return `-j REJECT --reject-with ${family === 'ipv4' ? 'icmp' : 'icmp6'}-port-unreachable`
  }
}

/**
 * Where a rule with a limit leads connections: what exceeds the limit is dropped there. What does not is accepted by
 * an accept rule, whose match has gone there for good, and comes back to the next rule from a drop rule. One chain a
 * rule, so that all its matches count into the same buckets.
 *
 * What is logged first goes to a chain of its own for that: to ask a bucket twice takes twice from it.
 */
function limitChain(rule: PolicyRule, { family, audited, logTarget }: StepContext): LimitChains | undefined {
  const { limit, connections } = rule
  if (limit === undefined && connections === undefined) return undefined
  const passes = audited || rule.audit
  // No name holds a slash: another rule may be called "ssh audited", or "ssh over its rate".
  const id = `${nameOf(rule)}${passes ? '/audited' : ''}`
  const rate = limit === undefined ? '' : rateLimitMatch(limit, id, family)
  const standing = connections === undefined ? '' : connectionLimitMatch(connections, family)
  const exceeding = [
    { match: rate, what: 'over its rate' },
    { match: standing, what: 'over its connections' },
  ].filter(({ match }) => match !== '')
  const verdict = passes ? '-j RETURN' : '-j DROP'
  const logged = exceeding.map(({ match, what }) => {
    const comment = commentMatch(`${nameOf(rule)} ${what}`)
    if (!rule.log && !passes) return { rule: join(match, comment, verdict), chains: [] }
    const name = limitChainName(`${id}/${what}`)
    const rules = [logText(rule, passes ? 'audit' : 'limit', logTarget), join(comment, verdict)]
    return { rule: join(match, comment, `-g ${name}`), chains: [{ name, rules }] }
  })
  const rules = logged.map((one) => one.rule)
  return [
    { name: limitChainName(id), rules: rule.action === 'accept' ? [...rules, '-j RETURN'] : rules },
    ...logged.flatMap(({ chains }) => chains),
  ]
}

/** The one that a rule leads to comes first, then those that only it leads to. */
type LimitChains = readonly [Chain, ...Chain[]]

function logText(rule: PolicyRule, verdict: LogVerdict, target: LogTarget): string {
  return logMatchAndTarget(target, { verdict, ruleset: rule.ruleset, rule: loggedName(rule) })
}

/** How a rule is called in logs beside its ruleset: `ssh`, `default ingress`. */
export function loggedName({ kind, name }: PolicyRule): string {
  return kind === 'rule' ? name : `${kind} ${name}`
}

/** How a rule is called wherever people meet it: `worker/ssh`, `failsafe dhcp`, `default ingress`. */
export function nameOf({ kind, ruleset, name }: PolicyRule): string {
  return kind === 'rule' ? `${ruleset}/${name}` : `${kind} ${name}`
}

/** What stands beside a rule in the kernel: its name, and of a failsafe what it follows from. */
function commentOf(rule: PolicyRule): string {
  return rule.fact === undefined ? nameOf(rule) : `${nameOf(rule)}: ${rule.fact}`
}

/** `iptables-save` quotes a comment unless it is made of these characters alone. */
export function commentMatch(comment: string): string {
  return `-m comment --comment ${/^[A-Za-z0-9_-]+$/.test(comment) ? comment : `"${comment}"`}`
}

export function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ')
}
