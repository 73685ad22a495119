import { loggedName } from '../netfilter/compile-steps.ts'
import { logPrefix, logVerdicts, parseLogPrefix } from '../netfilter/log-text.ts'
import type { LogName, LogTarget } from '../netfilter/log-text.ts'
import type { Policy, PolicyRule } from '../policy/policy.ts'
import { flows } from '../ruleset/ruleset.ts'

/** Whether any rule of a policy logs. */
export function logsAnything(policy: Policy): boolean {
  return loggingRules(policy).length > 0
}

/** Finds the whole name of a rule by what a prefix says of it, for rules of this policy; others stay as they are. */
export function createNames(policy: Policy, target: LogTarget): (name: LogName) => LogName {
  const whole = new Map<string, LogName>()
  for (const rule of loggingRules(policy)) {
    for (const verdict of logVerdicts) {
      const name = { verdict, ruleset: rule.ruleset, rule: loggedName(rule) }
      const cut = parseLogPrefix(logPrefix(target, name))
      if (cut !== undefined && cut.rule.includes('~')) whole.set(keyOf(cut), name)
    }
  }
  return (name) => whole.get(keyOf(name)) ?? name
}

/** What is audited is logged in any case. A rule that accepts up to a limit denies what exceeds it. */
function loggingRules(policy: Policy): PolicyRule[] {
  const steps = flows.flatMap((flow) => policy.flows[flow])
  return steps.flatMap((step) =>
    step.kind === 'audit'
      ? step.rules.filter(({ log, action, limit, connections }) => {
          return log || action !== 'accept' || limit !== undefined || connections !== undefined
        })
      : [step].filter(({ log, audit }) => log || audit),
  )
}

function keyOf({ verdict, ruleset, rule }: LogName): string {
  return JSON.stringify([verdict, ruleset, rule])
}
