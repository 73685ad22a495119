import * as z from 'zod'
import { parseDuration } from './duration.ts'
import { parseAddress, parseDomain, parseEndpoint, parseServer } from './endpoint.ts'
import { entryName, explained, yesOrNo } from './fields.ts'
import { parseHttpUrl } from './http-url.ts'

/** More would keep a change of rules waiting, and cost more than they tell. */
const mostProbes = 20

export const timeoutBounds = { leastMs: 100, mostMs: 10_000 }

const statusExpected = { error: 'an HTTP status from 200 to 599' }

export const probeSchema = z.strictObject(
  {
    name: entryName,
    tcp: z
      .string({ error: 'a host and port in quotes, such as "192.0.2.1:443"' })
      .check(explained((text) => void parseEndpoint(text)))
      .optional(),
    http: z
      .string({ error: 'a URL, such as "https://example.com/health"' })
      .check(explained((text) => void parseHttpUrl(text)))
      .optional(),
    expect: z.int(statusExpected).min(200, statusExpected).max(599, statusExpected).optional(),
    insecure: yesOrNo.optional(),
    dns: z
      .string({ error: 'a domain name, such as "example.com"' })
      .check(explained((text) => void parseDomain(text)))
      .optional(),
    server: z
      .string({ error: 'the address of a DNS server in quotes' })
      .check(explained((text) => void parseServer(text)))
      .optional(),
    icmp: z
      .string({ error: 'an address in quotes' })
      .check(explained((text) => void parseAddress(text)))
      .optional(),
    timeout: z
      .string({ error: 'a time with its unit, such as "2s" or "500ms"' })
      .check(explained((text) => void parseDuration(text, timeoutBounds)))
      .optional(),
  },
  { error: 'a probe: a map with name and tcp, http, dns or icmp' },
)

export const probeList = z
  .array(probeSchema, { error: 'a list of probes' })
  .check(({ value, issues }) => {
    if (value.length <= mostProbes) return
    const message = `found ${value.length} probes, expected at most ${mostProbes}`
    issues.push({ code: 'custom', input: value, message })
  })
  .meta({ maxItems: mostProbes })

export type ProbeDocument = z.infer<typeof probeSchema>
