import type { RuleCount } from '../netfilter/rule-counters.ts'
import type { Family } from '../ruleset/address.ts'
import { counter, gauge, one } from '../telemetry/metric.ts'
import type { Metric, Sample } from '../telemetry/metric.ts'
import type { Counters } from './counter-reader.ts'

/** What the kernel has counted for each rule and default. */
export function metricsOfCounters({ families, readAt, uncounted }: Counters): Metric[] {
  const all = [...families].flatMap(([family, counts]) => counts.map((count) => ({ family, ...count })))
  const ofRules = all.filter(({ rule }) => rule.kind === 'rule')
  const ofDefaults = all.filter(({ rule }) => rule.kind === 'default')
  return [
    counter(
      'node_firewall_rule_packets_total',
      'Packets that a rule has decided, mostly the first ones of connections.',
      ofRules.map((count) => ruleSample(count, count.packets)),
    ),
    counter(
      'node_firewall_rule_bytes_total',
      'Bytes of the packets that a rule has decided.',
      ofRules.map((count) => ruleSample(count, count.bytes)),
    ),
    counter(
      'node_firewall_default_packets_total',
      'Packets that no rule has decided, by what the default of their flow did with them.',
      ofDefaults.map((count) => defaultSample(count, count.packets)),
    ),
    counter(
      'node_firewall_default_bytes_total',
      'Bytes of the packets that no rule has decided.',
      ofDefaults.map((count) => defaultSample(count, count.bytes)),
    ),
    gauge(
      'node_firewall_counters_read_timestamp_seconds',
      'When the counters of rules were read: more than one scrape in 5 s gets the same ones.',
      families.size === 0 ? [] : one(readAt / 1000),
    ),
    gauge(
      'node_firewall_rules_not_counted',
      'Rules without counters of their own here, as there are more of them than 500.',
      one(uncounted),
    ),
  ]
}

type Count = RuleCount & { readonly family: Family }

function ruleSample({ family, rule, action }: Count, value: number): Sample {
  return { labels: { family, ruleset: rule.ruleset ?? '', rule: rule.name, action }, value }
}

/** The name of a default is that of its flow. */
function defaultSample({ family, rule, action }: Count, value: number): Sample {
  return { labels: { family, flow: rule.name, action }, value }
}
