import { parseDuration } from './duration.ts'
import { parseAddress, parseDomain, parseEndpoint, parseServer } from './endpoint.ts'
import { parseHttpUrl } from './http-url.ts'
import { timeoutBounds } from './probe-schema.ts'
import type { ProbeDocument } from './probe-schema.ts'
import type { ProbeSpec } from './ruleset.ts'

const defaultTimeoutMs = 2_000

/** Builds the value of a probe that has passed every check. */
export function toProbe(probe: ProbeDocument): ProbeSpec {
  const { name, timeout, expect, insecure = false } = probe
  const timeoutMs = timeout === undefined ? defaultTimeoutMs : parseDuration(timeout, timeoutBounds)
  const common = { name, timeoutMs }
  if (probe.tcp !== undefined) return { ...common, kind: 'tcp', endpoint: parseEndpoint(probe.tcp) }
  if (probe.http !== undefined) {
    const url = parseHttpUrl(probe.http)
    return { ...common, kind: 'http', url, insecure, ...(expect === undefined ? {} : { expect }) }
  }
  if (probe.dns !== undefined) {
    const server = probe.server === undefined ? {} : { server: parseServer(probe.server) }
    return { ...common, kind: 'dns', query: parseDomain(probe.dns), ...server }
  }
  if (probe.icmp !== undefined) return { ...common, kind: 'icmp', address: parseAddress(probe.icmp) }
  throw new Error(`probe ${name} is of no kind, which checkProbe sees to`)
}
