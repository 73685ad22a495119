import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { coalesce } from './coalesce.ts'
import { readCalico } from './calico.ts'
import { detectFormat } from './detect-format.ts'
import type { Format } from './detect-format.ts'
import { sameNames, toDocument } from './document.ts'
import type { ImportedDocument } from './document.ts'
import { readFlows } from './flows.ts'
import type { Flow } from './flows.ts'
import { readSaved } from './iptables-save.ts'
import { mergeFamilies } from './merge-families.ts'
import type { MergedRule } from './merge-families.ts'
import { sortNotes } from './note.ts'
import type { Note } from './note.ts'
import { readScript } from './script.ts'
import type { Source } from './source.ts'
import { readUfw } from './ufw.ts'

export type ImportOptions = {
  /** Absent: told from the text. */
  readonly format?: Format
  /** Name of the ruleset. */
  readonly name?: string
  /** Interfaces that face clients; absent: those that the source filters as a whole, else `auto`. */
  readonly external?: readonly string[]
}

export type Imported = { readonly document: ImportedDocument; readonly notes: readonly Note[] }

/** Turns the text of an existing firewall into a Ruleset document, and says what it could not carry over. */
export function importFirewall(text: string, options: ImportOptions = {}): Imported {
  const source = read(text, options.format ?? detectFormat(text))
  const { ingress, egress, notes } = readFlows(source)
  const external = options.external ?? source.external ?? ingress.closedOn
  const withIngress = takeDefault(ingress, external)
  const withEgress = takeDefault(egress, external)
  const document = toDocument({
    name: options.name ?? 'imported',
    nodeSelector: source.nodeSelector,
    external,
    sets: source.sets ?? new Map(),
    defaults: {
      ...(withIngress.action === undefined ? {} : { ingress: withIngress.action }),
      ...(withEgress.action === undefined ? {} : { egress: withEgress.action }),
    },
    ingress: coalesce(withoutUsual(mergeFamilies(withIngress.rules), external)),
    egress: coalesce(withoutUsual(mergeFamilies(withEgress.rules), external)),
  })
  return { document, notes: sortNotes([...source.notes, ...notes]) }
}

function read(text: string, format: Format): Source {
  switch (format) {
    case 'script':
      return readScript(text)
    case 'iptables-save':
      return readSaved(text)
    case 'ufw':
      return readUfw(text)
    case 'calico':
      return readCalico(text)
  }
}

/** Rules act on the external interfaces anyway. */
function withoutUsual(rules: readonly MergedRule[], external: readonly string[] | undefined): MergedRule[] {
  return rules.map(({ interfaces, ...rule }) =>
    interfaces === undefined || sameNames(interfaces, external ?? []) ? rule : { ...rule, interfaces },
  )
}

type Lists = Flow['rules']

/**
 * What both families deny at their end, on the external interfaces, is a default. What only one of them denies
 * stays a rule: a default would close the other too.
 */
function takeDefault(
  { rules }: Flow,
  external: readonly string[] | undefined,
): { action?: 'drop' | 'reject'; rules: Lists } {
  const [four, six] = families.map((family) => rules[family].at(-1))
  if (four === undefined || six === undefined || four.action !== six.action || four.action === 'accept') {
    return { rules }
  }
  const catchesAll = [four, six].every(({ match: { input, output, ...others }, limits }) => {
    const interfaces = input ?? output
    const onExternal = interfaces === undefined || sameNames(interfaces, external ?? [])
    return onExternal && Object.keys(others).length === 0 && Object.keys(limits).length === 0
  })
  if (!catchesAll) return { rules }
  // A default has no log: the rule that logs stays before it.
  const cut = (family: Family) =>
    rules[family].at(-1)?.log === true ? rules[family] : rules[family].slice(0, -1)
  return { action: four.action, rules: { ipv4: cut('ipv4'), ipv6: cut('ipv6') } }
}
