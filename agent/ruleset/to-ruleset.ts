import { parseCidr } from './address.ts'
import { protocolsOf } from './check-rule.ts'
import type { AddressSource, Rule, Ruleset } from './ruleset.ts'
import { isSetName, portEnds } from './schema.ts'
import type { RuleDocument, RulesetDocument } from './schema.ts'
import type { YamlDocument } from './yaml.ts'

/** Builds the value of a document that has passed every check. */
export function toRuleset(
  path: string,
  document: YamlDocument,
  { metadata, spec }: RulesetDocument,
): Ruleset {
  return {
    name: metadata.name,
    path,
    priority: spec.priority ?? 100,
    ...(spec.nodeSelector === undefined ? {} : { nodeSelector: spec.nodeSelector }),
    external: spec.interfaces?.external ?? 'auto',
    defaults: spec.defaults?.ingress === undefined ? {} : { ingress: spec.defaults.ingress },
    sets: new Map(Object.entries(spec.sets ?? {}).map(([name, members]) => [name, members.map(parseCidr)])),
    rules: (spec.rules ?? []).map(toRule),
    positions: {
      name: document.at(['metadata', 'name']),
      ingress: document.at(['spec', 'defaults', 'ingress']),
    },
  }
}

function toRule(rule: RuleDocument): Rule {
  return {
    name: rule.name,
    action: rule.action,
    protocols: protocolsOf(rule),
    ports: (rule.ports ?? []).map((port) => {
      const [first, last] = portEnds(port)
      return { first, last }
    }),
    ...(rule.from === undefined ? {} : { from: rule.from.map(toSource) }),
    ...(rule.to === undefined ? {} : { to: rule.to.map(toSource) }),
    ...(rule.interfaces === undefined ? {} : { interfaces: rule.interfaces }),
  }
}

function toSource(member: string): AddressSource {
  return isSetName(member) ? { set: member } : parseCidr(member)
}
