import { formatCidr } from './address.ts'
import type { Issue } from './explain-issue.ts'
import { failsafeNames } from './failsafe.ts'
import type { FailsafeName } from './failsafe.ts'
import type { Problem } from './problem.ts'
import { flows } from './ruleset.ts'
import type { AddressSource, Flow, Ruleset } from './ruleset.ts'
import { labelSelector } from './schema.ts'
import type { LabelSelector } from './schema.ts'

export type Labels = Readonly<Record<string, string>>

/** The rulesets of one node in the order they are evaluated: by priority, then by name. */
export type Selected = { readonly rulesets: readonly Ruleset[]; readonly problems: readonly Problem[] }

/**
 * Picks the rulesets whose nodeSelector matches the labels of a node. Two that set a default to different
 * actions, or a failsafe to different addresses, are an error, since there is no order in which both could hold.
 */
export function selectRulesets(rulesets: readonly Ruleset[], labels: Labels): Selected {
  const selected = orderRulesets(
    rulesets.filter(({ nodeSelector }) => nodeSelector === undefined || matches(nodeSelector, labels)),
  )
  return { rulesets: selected, problems: contradictions(selected) }
}

/** In the order of evaluation: by priority, then by name. */
export function orderRulesets(rulesets: readonly Ruleset[]): Ruleset[] {
  return rulesets.toSorted((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1))
}

/** Whether the choice of rulesets depends on the labels of the node at all. */
export function needsLabels(rulesets: readonly Ruleset[]): boolean {
  return rulesets.some(({ nodeSelector }) => nodeSelector !== undefined)
}

/** What the API server would refuse in a LabelSelector, as far as no single field shows it. */
export function checkSelector(raw: unknown): Issue[] {
  const { data } = labelSelector.safeParse(raw)
  return (data?.matchExpressions ?? []).flatMap(({ operator, values = [] }, index) => {
    const path = ['matchExpressions', index]
    const wantsValues = operator === 'In' || operator === 'NotIn'
    if (wantsValues === values.length > 0) return []
    const [found, expected] = wantsValues ? ['no values', 'at least one'] : ['values', 'none']
    return [{ path, message: `found ${found}, expected ${expected} with ${operator}` }]
  })
}

function matches(selector: LabelSelector, labels: Labels): boolean {
  const all = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value)
  return all && (selector.matchExpressions ?? []).every((expression) => holds(expression, labels))
}

type Expression = NonNullable<LabelSelector['matchExpressions']>[number]

function holds({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

function contradictions(selected: readonly Ruleset[]): Problem[] {
  const enforced = selected.filter(({ mode }) => mode === 'enforce')
  return [
    ...flows.flatMap((flow) => contradictionsOf(flow, enforced)),
    ...failsafeNames.flatMap((name) => contradictingFailsafes(name, enforced)),
  ]
}

function contradictionsOf(flow: Flow, selected: readonly Ruleset[]): Problem[] {
  const first = selected.find(({ defaults }) => defaults[flow] !== undefined)
  return selected.flatMap(({ path, defaults, positions }) => {
    const [found, expected] = [defaults[flow], first?.defaults[flow]]
    if (first === undefined || found === undefined || found === expected) return []
    const message =
      `spec.defaults.${flow}: found ${found}, expected ${expected}, ` +
      `which ruleset "${first.name}" (${first.path}) sets for the same node`
    return [{ path, severity: 'error' as const, line: 1, column: 1, ...positions.defaults[flow], message }]
  })
}

function contradictingFailsafes(name: FailsafeName, selected: readonly Ruleset[]): Problem[] {
  const [first, ...others] = selected.filter(({ failsafe }) => failsafe[name] !== undefined)
  if (first === undefined) return []
  const expected = describeFailsafe(name, first)
  return others.flatMap((ruleset) => {
    const found = describeFailsafe(name, ruleset)
    if (found === expected) return []
    const { path, positions } = ruleset
    const message =
      `spec.failsafe.${name}: found another value than ruleset "${first.name}" (${first.path}) sets for the ` +
      'same node, expected the same one'
    return [{ path, severity: 'error' as const, line: 1, column: 1, ...positions.failsafe[name], message }]
  })
}

/** What a setting means: sets of two rulesets may have one name and hold different addresses. */
function describeFailsafe(name: FailsafeName, { failsafe, sets }: Ruleset): string {
  const setting = failsafe[name]
  if (setting === undefined || setting === 'off') return 'off'
  const describe = (source: AddressSource) =>
    'set' in source ? (sets.get(source.set)?.map(formatCidr) ?? [source.set]) : [formatCidr(source)]
  const list = (sources: readonly AddressSource[] | undefined) => sources?.flatMap(describe).toSorted()
  return JSON.stringify([list(setting.from), list(setting.to)])
}
