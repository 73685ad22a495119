type Term =
  | { readonly kind: 'equals'; readonly key: string; readonly value: string }
  | { readonly kind: 'differs'; readonly key: string; readonly value: string }
  | { readonly kind: 'in' | 'notIn'; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: 'has' | 'hasNot'; readonly key: string }

const key = '[A-Za-z0-9./_-]+'
const quoted = `"[^"]*"|'[^']*'`
const patterns: readonly (readonly [RegExp, (found: readonly string[]) => Term])[] = [
  [
    new RegExp(`^(${key})\\s*==\\s*(${quoted})$`),
    ([, k = '', v = '']) => ({ kind: 'equals', key: k, value: v.slice(1, -1) }),
  ],
  [
    new RegExp(`^(${key})\\s*!=\\s*(${quoted})$`),
    ([, k = '', v = '']) => ({ kind: 'differs', key: k, value: v.slice(1, -1) }),
  ],
  [
    new RegExp(`^(${key})\\s+in\\s+\\{(.*)\\}$`),
    ([, k = '', v = '']) => ({ kind: 'in', key: k, values: valuesOf(v) }),
  ],
  [
    new RegExp(`^(${key})\\s+not\\s+in\\s+\\{(.*)\\}$`),
    ([, k = '', v = '']) => ({ kind: 'notIn', key: k, values: valuesOf(v) }),
  ],
  [new RegExp(`^has\\((${key})\\)$`), ([, k = '']) => ({ kind: 'has', key: k })],
  [new RegExp(`^!\\s*has\\((${key})\\)$`), ([, k = '']) => ({ kind: 'hasNot', key: k })],
]

/** Terms of a selector that all must hold; none for `all()`; `undefined` for one of another form. */
export function parseSelector(selector: string): Term[] | undefined {
  const plain = selector.trim()
  if (plain === '' || plain === 'all()') return []
  const terms = plain.split('&&').map((part) => {
    const text = part.trim()
    const found = patterns.map(([pattern, make]) => ({ groups: pattern.exec(text), make }))
    const hit = found.find(({ groups }) => groups !== null)
    return hit?.groups === null || hit === undefined ? undefined : hit.make(hit.groups)
  })
  return terms.some((term) => term === undefined) ? undefined : terms.filter((term) => term !== undefined)
}

/** Whether labels meet all terms. */
export function meets(terms: readonly Term[], labels: Readonly<Record<string, string>>): boolean {
  return terms.every((term) => {
    const value = Object.hasOwn(labels, term.key) ? labels[term.key] : undefined
    switch (term.kind) {
      case 'equals':
        return value === term.value
      case 'differs':
        return value !== term.value
      case 'in':
        return value !== undefined && term.values.includes(value)
      case 'notIn':
        return value === undefined || !term.values.includes(value)
      case 'has':
        return value !== undefined
      case 'hasNot':
        return value === undefined
    }
  })
}

/** The LabelSelector that means the same for the labels of a Node. */
export function toNodeSelector(terms: readonly Term[]): object {
  const matchLabels = Object.fromEntries(
    terms.flatMap((term) => (term.kind === 'equals' ? [[term.key, term.value]] : [])),
  )
  const matchExpressions = terms.flatMap((term) => {
    switch (term.kind) {
      case 'equals':
        return []
      case 'differs':
        return [{ key: term.key, operator: 'NotIn', values: [term.value] }]
      case 'in':
        return [{ key: term.key, operator: 'In', values: term.values }]
      case 'notIn':
        return [{ key: term.key, operator: 'NotIn', values: term.values }]
      case 'has':
        return [{ key: term.key, operator: 'Exists' }]
      case 'hasNot':
        return [{ key: term.key, operator: 'DoesNotExist' }]
    }
  })
  return {
    ...(Object.keys(matchLabels).length === 0 ? {} : { matchLabels }),
    ...(matchExpressions.length === 0 ? {} : { matchExpressions }),
  }
}

function valuesOf(list: string): string[] {
  return (list.match(/"[^"]*"|'[^']*'/g) ?? []).map((value) => value.slice(1, -1))
}
