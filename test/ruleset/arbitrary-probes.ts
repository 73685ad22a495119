import fc from 'fast-check'
import { formatDuration } from '../../agent/ruleset/duration.ts'
import { formatEndpoint, parseAddress } from '../../agent/ruleset/endpoint.ts'
import type { Endpoint } from '../../agent/ruleset/endpoint.ts'
import { formatHttpUrl } from '../../agent/ruleset/http-url.ts'
import type { HttpUrl } from '../../agent/ruleset/http-url.ts'
import type { ProbeSpec } from '../../agent/ruleset/ruleset.ts'

const domain = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_]([A-Za-z0-9_-]{0,20}[A-Za-z0-9_])?$/), {
    minLength: 1,
    maxLength: 4,
  })
  .map((labels) => labels.join('.'))
  .filter((name) => !/(^|\.)([0-9]+|onion)$/i.test(name))
const isAddress = (text: string) => {
  try {
    return parseAddress(text) !== ''
  } catch {
    return false
  }
}
const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter(isAddress).map(parseAddress)
const port = fc.integer({ min: 1, max: 65_535 })

export const endpoints: fc.Arbitrary<Endpoint> = fc.record({ host: fc.oneof(address, domain), port })

export const httpUrls: fc.Arbitrary<HttpUrl> = fc
  .record({
    isTls: fc.boolean(),
    endpoint: fc.oneof(endpoints, fc.record({ host: domain, port: fc.constantFrom(80, 443) })),
    path: fc.stringMatching(/^\/[\x21\x22\x24-\x7e]{0,20}$/),
  })
  .map(({ isTls, endpoint, path }) => ({ isTls, ...endpoint, path }))

const kind = fc.oneof(
  fc.record({ kind: fc.constant('tcp' as const), endpoint: endpoints }),
  httpUrls.chain((url) =>
    fc.record(
      {
        kind: fc.constant('http' as const),
        url: fc.constant(url),
        insecure: fc.boolean().map((insecure) => insecure && url.isTls),
        expect: fc.integer({ min: 200, max: 599 }),
      },
      { requiredKeys: ['kind', 'url', 'insecure'] },
    ),
  ),
  fc.record(
    {
      kind: fc.constant('dns' as const),
      query: domain,
      server: fc.record({ host: address, port }),
    },
    { requiredKeys: ['kind', 'query'] },
  ),
  fc.record({ kind: fc.constant('icmp' as const), address }),
)

const probe: fc.Arbitrary<ProbeSpec> = fc
  .tuple(
    fc.record({
      name: fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/),
      timeoutMs: fc.integer({ min: 100, max: 10_000 }),
    }),
    kind,
  )
  .map(([common, ofKind]) => ({ ...common, ...ofKind }))

export const probeLists = fc.uniqueArray(probe, { maxLength: 5, selector: ({ name }) => name })

/** Probes of every kind, as values to be written as YAML. */
export function probeDocuments(): fc.Arbitrary<unknown[]> {
  return probeLists.map((probes) => probes.map(toDocument))
}

/** The inverse of toProbe. */
export function toDocument(spec: ProbeSpec): Record<string, unknown> {
  const common = { name: spec.name, timeout: formatDuration(spec.timeoutMs) }
  switch (spec.kind) {
    case 'tcp':
      return { ...common, tcp: formatEndpoint(spec.endpoint) }
    case 'http': {
      const { url, expect, insecure } = spec
      return { ...common, http: formatHttpUrl(url), ...(expect === undefined ? {} : { expect }), insecure }
    }
    case 'dns': {
      const server = spec.server === undefined ? {} : { server: formatEndpoint(spec.server) }
      return { ...common, dns: spec.query, ...server }
    }
    case 'icmp':
      return { ...common, icmp: spec.address }
  }
}
