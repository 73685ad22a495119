import type { DataFiles } from './data-files.ts'
import { parseCidr } from './address.ts'
import type { Cidr } from './address.ts'
import { familyOfIcmp, protocolsOf } from './check-rule.ts'
import { failsafeNames } from './failsafe.ts'
import type { FailsafeDocument, FailsafeName, FailsafeSetting } from './failsafe.ts'
import { parseIcmpType } from './icmp-types.ts'
import { mergeCidrs } from './merge-cidrs.ts'
import { burstBounds, parseRate } from './rate.ts'
import type {
  AddressSource,
  ConnectionLimit,
  Flow,
  IcmpTypes,
  LimitScope,
  RateLimit,
  Rule,
  Ruleset,
} from './ruleset.ts'
import { flows } from './ruleset.ts'
import { isSetName, portEnds } from './fields.ts'
import { toProbe } from './to-probe.ts'
import { toRollout } from './rollout-schema.ts'
import type { RuleDocument } from './rule-schema.ts'
import type { RulesetDocument, SetDocument } from './schema.ts'
import type { YamlDocument } from './yaml.ts'

/** Builds the value of a document that has passed every check. `data` holds the address lists it names. */
export function toRuleset(
  path: string,
  document: YamlDocument,
  { metadata, spec }: RulesetDocument,
  data: DataFiles,
): Ruleset {
  const { defaults = {}, failsafe = {}, rules = [] } = spec
  const setFlows = flows.filter((flow) => defaults[flow] !== undefined)
  const setFailsafes = failsafeNames.filter((one) => failsafe[one] !== undefined)
  return {
    name: metadata.name,
    path,
    priority: spec.priority ?? 100,
    mode: spec.mode ?? 'enforce',
    established: spec.established ?? 'cut',
    ...(spec.nodeSelector === undefined ? {} : { nodeSelector: spec.nodeSelector }),
    external: spec.interfaces?.external ?? 'auto',
    defaults: Object.fromEntries(setFlows.map((flow) => [flow, defaults[flow]])),
    logsDefaults: defaults.log ?? false,
    failsafe: Object.fromEntries(setFailsafes.map((one) => [one, toSetting(failsafe[one])])),
    sets: new Map(Object.entries(spec.sets ?? {}).map(([name, set]) => [name, membersOf(set, data)])),
    rules: rules.map(toRule),
    probes: (spec.probes ?? []).map(toProbe),
    ...(spec.rollout === undefined ? {} : { rollout: toRollout(spec.rollout) }),
    positions: {
      name: document.at(['metadata', 'name']),
      defaults: Object.fromEntries(setFlows.map((flow) => [flow, document.at(['spec', 'defaults', flow])])),
      failsafe: Object.fromEntries(setFailsafes.map((one) => [one, document.at(['spec', 'failsafe', one])])),
      rules: rules.map((_, index) => document.at(['spec', 'rules', index])),
    },
  }
}

/** A failsafe may be narrowed by both, where it lets something in and something out. */
function toSetting(setting: FailsafeDocument[FailsafeName]): FailsafeSetting {
  if (setting === undefined || setting === 'off') return 'off'
  const { from, to }: { from?: string[] | undefined; to?: string[] | undefined } = setting
  return {
    ...(from === undefined ? {} : { from: from.map(toSource) }),
    ...(to === undefined ? {} : { to: to.map(toSource) }),
  }
}

function membersOf(set: SetDocument, data: DataFiles): readonly Cidr[] {
  return Array.isArray(set) ? mergeCidrs(set.map(parseCidr)) : data.cidrsOf(set.file)
}

function toRule(rule: RuleDocument): Rule {
  return {
    name: rule.name,
    flow: flowOf(rule),
    action: rule.action,
    protocols: protocolsOf(rule),
    ports: (rule.ports ?? []).map((port) => {
      const [first, last] = portEnds(port)
      return { first, last }
    }),
    ...(rule.icmpTypes === undefined ? {} : { icmpTypes: toIcmpTypes(rule, rule.icmpTypes) }),
    ...(rule.from === undefined ? {} : { from: rule.from.map(toSource) }),
    ...(rule.to === undefined ? {} : { to: rule.to.map(toSource) }),
    ...(rule.interfaces === undefined ? {} : { interfaces: rule.interfaces }),
    ...(rule.limit === undefined ? {} : { limit: toRateLimit(rule.limit) }),
    ...(rule.connections === undefined ? {} : { connections: toConnectionLimit(rule.connections) }),
    log: rule.log ?? false,
    audit: rule.audit ?? false,
    ...(rule.expiresAt === undefined ? {} : { expiresAt: Date.parse(rule.expiresAt) }),
  }
}

function flowOf({ direction = 'ingress', endpoint = 'node' }: RuleDocument): Flow {
  if (endpoint === 'node') return direction
  return direction === 'ingress' ? 'podIngress' : 'podEgress'
}

function toSource(member: string): AddressSource {
  return isSetName(member) ? { set: member } : parseCidr(member)
}

function toIcmpTypes(rule: RuleDocument, types: readonly (string | number)[]): IcmpTypes {
  const ofRule = new Set(protocolsOf(rule).map(familyOfIcmp))
  const typesOf = (family: 'ipv4' | 'ipv6') =>
    ofRule.has(family) ? types.map((type) => parseIcmpType(type, family)) : []
  return { ipv4: typesOf('ipv4'), ipv6: typesOf('ipv6') }
}

/** As many at once as a client that starts up may open, where nobody says and the rate allows it. */
const defaultBurst = 5

function toRateLimit(limit: NonNullable<RuleDocument['limit']>): RateLimit {
  const rate = parseRate(limit.rate)
  const { least, most } = burstBounds(rate)
  const burst = limit.burst ?? Math.min(most, Math.max(least, defaultBurst))
  return { ...rate, burst, scope: toScope(limit) }
}

function toConnectionLimit(limit: NonNullable<RuleDocument['connections']>): ConnectionLimit {
  return { max: limit.max, scope: toScope(limit) }
}

/** An IPv6 client has a /64 to choose its addresses from (RFC 6177), so all of it counts as one source. */
function toScope({ per = 'source', ipv4Prefix = 32, ipv6Prefix = 64 }: ScopeDocument): LimitScope {
  return per === 'rule' ? { per } : { per, ipv4Prefix, ipv6Prefix }
}

type ScopeDocument = {
  readonly per?: 'source' | 'rule' | undefined
  readonly ipv4Prefix?: number | undefined
  readonly ipv6Prefix?: number | undefined
}
