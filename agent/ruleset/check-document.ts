import { families, familyOfText } from './address.ts'
import type { Family } from './address.ts'
import { builtInSets, reservedSetNames } from './built-in-sets.ts'
import { checkProbe } from './check-probe.ts'
import { checkRule, checkSetNames } from './check-rule.ts'
import type { KnownSets } from './check-rule.ts'
import type { Issue } from './explain-issue.ts'
import { failsafeSchema } from './failsafe.ts'
import { probeSchema } from './probe-schema.ts'
import { ruleSchema } from './rule-schema.ts'
import type { RulesetDocument } from './schema.ts'
import { checkSelector } from './select.ts'

/**
 * Checks between fields run wherever the fields themselves are sound, so that one error does not hide another.
 * `sound` is the document where all of its fields are.
 */
export function checkDocument(document: unknown, sound?: RulesetDocument): Issue[] {
  const { rules, probes, sets: written, nodeSelector, failsafe } = sectionsOf(document)
  const seen = new Set<string>()
  const sets = knownSets(written)
  const ofRules = rules.flatMap((raw, index) => {
    const data = sound?.spec.rules?.[index] ?? ruleSchema.safeParse(raw).data
    if (data === undefined) return []
    const issues = checkRule(data, sets)
    if (seen.has(data.name)) {
      issues.push({ path: ['name'], message: 'found a second rule of this name, expected each name once' })
    }
    seen.add(data.name)
    return issues.map((issue) => ({ ...issue, path: ['spec', 'rules', index, ...issue.path] }))
  })
  const ofSelector = checkSelector(nodeSelector).map((issue) => ({
    ...issue,
    path: ['spec', 'nodeSelector', ...issue.path],
  }))
  return [...ofSelector, ...checkFailsafes(failsafe, sets), ...ofRules, ...checkProbes(probes)]
}

function checkProbes(probes: readonly unknown[]): Issue[] {
  const seen = new Set<string>()
  return probes.flatMap((raw, index) => {
    const { data } = probeSchema.safeParse(raw)
    if (data === undefined) return []
    const issues = checkProbe(data)
    if (seen.has(data.name)) {
      issues.push({ path: ['name'], message: 'found a second probe of this name, expected each name once' })
    }
    seen.add(data.name)
    return issues.map((issue) => ({ ...issue, path: ['spec', 'probes', index, ...issue.path] }))
  })
}

function checkFailsafes(raw: unknown, sets: KnownSets): Issue[] {
  const settings = isMap(raw) ? Object.entries(raw) : []
  return settings.flatMap(([name, one]): Issue[] => {
    const [setting] = Object.values(failsafeSchema.safeParse({ [name]: one }).data ?? {})
    if (setting === undefined || setting === 'off') return []
    const path = ['spec', 'failsafe', name]
    if (Object.keys(setting).length === 0) {
      return [{ path, message: 'found an empty map, expected from or to, or "off"' }]
    }
    const { from, to }: { from?: string[] | undefined; to?: string[] | undefined } = setting
    const unknown = [...checkSetNames('from', from, sets), ...checkSetNames('to', to, sets)]
    return unknown.map((issue) => ({ ...issue, path: [...path, ...issue.path] }))
  })
}

/** What is likely not meant, though it can be enforced. */
export function warnOfDocument(document: unknown): Issue[] {
  const empty = Object.entries(sectionsOf(document).sets).filter(
    ([, members]) => Array.isArray(members) && members.length === 0,
  )
  const message = 'is empty: rules that name it match nobody'
  return empty.map(([name]) => ({ path: ['spec', 'sets', name], part: 'key', message }))
}

type Sections = {
  readonly rules: readonly unknown[]
  readonly probes: readonly unknown[]
  readonly sets: Readonly<Record<string, unknown>>
  readonly nodeSelector: unknown
  readonly failsafe: unknown
}

/** The sections that checks look into, whatever else may be wrong with the document. */
function sectionsOf(document: unknown): Sections {
  const spec = isMap(document) ? document['spec'] : undefined
  if (!isMap(spec)) return { rules: [], probes: [], sets: {}, nodeSelector: undefined, failsafe: undefined }
  const { sets, nodeSelector, failsafe } = spec
  return {
    rules: listOf(spec['rules']),
    probes: listOf(spec['probes']),
    sets: isMap(sets) ? sets : {},
    nodeSelector,
    failsafe,
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function knownSets(sets: Readonly<Record<string, unknown>>): KnownSets {
  const reserved = [...reservedSetNames].map((name) => [name, families] as const)
  const entries = Object.entries({ ...sets, ...builtInSets })
  return new Map([...reserved, ...entries.map(([name, members]) => [name, familiesOfSet(members)] as const)])
}

function familiesOfSet(members: unknown): readonly Family[] {
  if (!Array.isArray(members) || members.length === 0) return families
  const present = new Set(members.map((member) => familyOfText(String(member))))
  return families.filter((family) => present.has(family))
}

/** `rule "ssh": ports[0]: ` for what is inside a rule or a probe, `spec.defaults.ingress: ` elsewhere. */
export function placeName(path: readonly PropertyKey[], document: unknown): string {
  const [spec, section, index, ...rest] = path
  const isList = section === 'rules' || section === 'probes'
  if (spec !== 'spec' || !isList || typeof index !== 'number') return joinPlace([dotted(path)])
  const entry = sectionsOf(document)[section][index]
  const name = isMap(entry) && typeof entry['name'] === 'string' ? `"${entry['name']}"` : index + 1
  return joinPlace([`${section === 'rules' ? 'rule' : 'probe'} ${name}`, dotted(rest)])
}

function joinPlace(parts: readonly string[]): string {
  return parts
    .filter((part) => part !== '')
    .map((part) => `${part}: `)
    .join('')
}

function dotted(path: readonly PropertyKey[]): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '')
}
