import { badRequest } from './statuses.ts'
import type { Stored } from './store.ts'

export type Matches = (object: Stored) => boolean

/** What `fieldSelector` and `labelSelector` let through; 400 for those that nobody understands. */
export function parseSelectors(query: URLSearchParams): Matches {
  const tests = [...fieldTests(query.get('fieldSelector')), ...labelTests(query.get('labelSelector'))]
  return (object) => tests.every((test) => test(object))
}

/** The name that a fieldSelector pins down; RBAC takes it for the name of the request. */
export function selectedName(query: URLSearchParams): string | undefined {
  return /(?:^|,)metadata\.name==?([^,]+)/.exec(query.get('fieldSelector') ?? '')?.[1]
}

function fieldTests(selector: string | null): Matches[] {
  return split(selector, ',').map((term) => {
    const [field = '', , not, value = ''] = /^([^=!]+)((!)=|==?)(.*)$/.exec(term)?.slice(1) ?? [term]
    if (field !== 'metadata.name' && field !== 'metadata.namespace') {
      throw badRequest(`field label not supported: ${field}`)
    }
    const read = ({ metadata }: Stored) => (field === 'metadata.name' ? metadata.name : metadata.namespace)
    return (object) => (read(object) === value) === (not === undefined)
  })
}

function labelTests(selector: string | null): Matches[] {
  // Commas inside of (a, b) belong to the set.
  return split(selector, /,(?![^(]*\))/).map((term) => {
    const set = /^([\w./-]+)\s+(not)?in\s+\(([^)]*)\)$/.exec(term)
    if (set !== null) return oneOf(set[1], split(set[3] ?? '', ','), set[2] === undefined)
    const equal = /^([\w./-]+)\s*(!)?==?\s*([\w.-]*)$/.exec(term)
    if (equal !== null) return oneOf(equal[1], [equal[3] ?? ''], equal[2] === undefined)
    const exists = /^(!)?\s*([\w./-]+)$/.exec(term)
    if (exists !== null) return (object) => hasLabel(object, exists[2]) === (exists[1] === undefined)
    throw badRequest(
      term.startsWith('==')
        ? "found '==', expected: !, identifier, or 'end of string'"
        : "unable to parse requirement: found '=', expected: identifier",
    )
  })
}

/** An object without the label is in no set, and so it is outside of every one. */
function oneOf(label = '', values: string[], wanted: boolean): Matches {
  return (object) => values.includes(object.metadata.labels?.[label] ?? '\0') === wanted
}

function hasLabel(object: Stored, label = ''): boolean {
  return object.metadata.labels?.[label] !== undefined
}

function split(text: string | null, separator: string | RegExp): string[] {
  if (text === null || text.trim() === '') return []
  return text.split(separator).map((part) => part.trim())
}
