import { defined } from './match.ts'
import type { MergedRule } from './merge-families.ts'
import { joinRanges } from './ranges.ts'

/**
 * Makes one rule of neighbours that differ in one list only: what a loop over ports wrote is read as it was
 * meant. Neighbours with the same action may change places, so the meaning stays.
 */
export function coalesce(rules: readonly MergedRule[]): MergedRule[] {
  const result: MergedRule[] = []
  for (const rule of rules) {
    const last = result.at(-1)
    const joined = last === undefined ? undefined : joinNeighbours(last, rule)
    if (joined === undefined) result.push(rule)
    else result[result.length - 1] = joined
  }
  return result
}

function joinNeighbours(a: MergedRule, b: MergedRule): MergedRule | undefined {
  const limited = [a, b].some(({ limits }) => Object.keys(limits).length > 0)
  if (limited || a.action !== b.action || a.log !== b.log || a.comment !== b.comment || a.remark !== b.remark)
    return undefined
  const differing = (['protocols', 'ports', 'icmpTypes', 'from', 'to', 'interfaces'] as const).filter(
    (key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]),
  )
  const [key, ...others] = differing
  if (key === undefined) return a
  if (others.length > 0) return undefined
  switch (key) {
    case 'ports':
      // An absent list is no empty one: it stands for all.
      return a.ports === undefined || b.ports === undefined
        ? undefined
        : { ...a, ports: joinRanges([...a.ports, ...b.ports]) }
    case 'protocols':
      return a.protocols.length === 0 || b.protocols.length === 0 || a.icmpTypes !== undefined
        ? undefined
        : { ...a, protocols: [...new Set([...a.protocols, ...b.protocols])] }
    case 'icmpTypes':
    case 'from':
    case 'to':
    case 'interfaces': {
      const [one, other] = [a[key], b[key]]
      if (one === undefined || other === undefined) return undefined
      return { ...a, ...defined({ [key]: [...new Set([...one, ...other])] }) }
    }
  }
}
