import type { Exec } from '../host/exec.ts'
import type { ProbeSpec, Ruleset } from '../ruleset/ruleset.ts'
import { tryDns } from './dns.ts'
import { tryHttp } from './http.ts'
import { tryIcmp } from './icmp.ts'
import type { Probe } from './probe.ts'
import { simpleProbe } from './simple-probe.ts'
import { tryTcp } from './tcp.ts'

export type ProbeEffects = {
  /** Runs ping(8) in the network namespace of the node. All else is sent from that of this process. */
  readonly exec: Exec
}

/** The probes that rulesets name, as `RULESET/NAME`. */
export function createRulesetProbes(rulesets: readonly Ruleset[], effects: ProbeEffects): Probe[] {
  return rulesets.flatMap(({ name, probes }) =>
    probes.map((spec) =>
      simpleProbe(`${name}/${spec.name}`, spec.timeoutMs, async (signal) => trySpec(spec, effects, signal)),
    ),
  )
}

async function trySpec(spec: ProbeSpec, { exec }: ProbeEffects, signal: AbortSignal): Promise<void> {
  const { timeoutMs } = spec
  switch (spec.kind) {
    case 'tcp':
      return tryTcp(spec.endpoint, timeoutMs, signal)
    case 'http':
      return tryHttp(spec.url, spec, timeoutMs, signal)
    case 'dns':
      return tryDns(spec.query, spec.server, timeoutMs, signal)
    case 'icmp':
      return tryIcmp(exec, spec.address, timeoutMs, signal)
  }
}
