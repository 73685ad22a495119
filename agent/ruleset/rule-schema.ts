import * as z from 'zod'
import { families } from './address.ts'
import {
  action,
  addressOrSet,
  entryName,
  explained,
  interfaceList,
  listOf,
  port,
  protocol,
  yesOrNo,
} from './fields.ts'
import { parseIcmpType } from './icmp-types.ts'
import { parseRate } from './rate.ts'

const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/

const icmpType = z
  .union([z.string(), z.int()], { error: 'an ICMP type by name or number, such as echo-request or "3/4"' })
  .check((context) => {
    const { value } = context
    const works = families.some((family) => {
      try {
        return Boolean(parseIcmpType(value, family))
      } catch {
        return false
      }
    })
    if (works) return
    const message = 'no ICMP type of either family is called so'
    context.issues.push({ code: 'custom', input: value, message })
  })

const scope = {
  per: z.enum(['source', 'rule'], { error: 'source or rule' }).optional(),
  ipv4Prefix: z
    .int({ error: 'a prefix length from 1 to 32' })
    .min(1, { error: 'a prefix length from 1 to 32' })
    .max(32, { error: 'a prefix length from 1 to 32' })
    .optional(),
  ipv6Prefix: z
    .int({ error: 'a prefix length from 1 to 128' })
    .min(1, { error: 'a prefix length from 1 to 128' })
    .max(128, { error: 'a prefix length from 1 to 128' })
    .optional(),
}

const burstExpected = { error: 'a whole number from 1 to 1000000' }
const maxExpected = { error: 'a whole number from 1 to 1000000' }

const limit = z.strictObject(
  {
    rate: z
      .string({ error: 'a rate in quotes, such as "200/second"' })
      .check(explained((text) => void parseRate(text))),
    burst: z.int(burstExpected).min(1, burstExpected).max(1_000_000, burstExpected).optional(),
    ...scope,
  },
  { error: 'a map with rate, burst and per' },
)

const connections = z.strictObject(
  { max: z.int(maxExpected).min(1, maxExpected).max(1_000_000, maxExpected), ...scope },
  { error: 'a map with max and per' },
)

export const ruleSchema = z.strictObject(
  {
    name: entryName,
    description: z.string({ error: 'a text' }).optional(),
    direction: z.enum(['ingress', 'egress'], { error: 'ingress or egress' }).optional(),
    endpoint: z.enum(['node', 'pods'], { error: 'node or pods' }).optional(),
    action,
    protocol: z
      .union([protocol, listOf(protocol, 'protocols')], { error: 'a protocol or a list of protocols' })
      .optional(),
    ports: listOf(port, 'ports').optional(),
    from: listOf(addressOrSet, 'addresses or sets').optional(),
    to: listOf(addressOrSet, 'addresses or sets').optional(),
    interfaces: interfaceList.optional(),
    icmpTypes: listOf(icmpType, 'ICMP types').optional(),
    limit: limit.optional(),
    connections: connections.optional(),
    log: yesOrNo.optional(),
    audit: yesOrNo.optional(),
    expiresAt: z
      .string({ error: 'a time in quotes, such as "2030-01-31T18:00:00Z"' })
      .regex(timestamp, { error: 'a time with its zone (RFC 3339), such as "2030-01-31T18:00:00Z"' })
      .refine((text) => !timestamp.test(text) || !Number.isNaN(Date.parse(text)), {
        error: 'no such time exists',
      })
      .optional(),
  },
  { error: 'a rule: a map with name and action' },
)

export type RuleDocument = z.infer<typeof ruleSchema>
