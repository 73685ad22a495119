import * as z from 'zod'
import { families, parseCidr } from './address.ts'
import { reservedSetNames } from './built-in-sets.ts'
import { parseIcmpType } from './icmp-types.ts'
import { extensionHeaders, protocolNames } from './protocol.ts'
import { parseRate } from './rate.ts'

/*
 * The Ruleset document as people write it. Each `error` completes the sentence "found X, expected ...", each
 * `check` finds what a type cannot say. What needs more than one field is checked in check.ts.
 */

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const ruleName = /^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/
const setName = /^[A-Za-z][A-Za-z0-9_-]{0,39}$/
const interfaceName = /^([A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{1,14}\+)$/
const labelName = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$/
const labelKey = new RegExp(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?${labelName.source.slice(1)}`)
const labelValue = new RegExp(`^$|${labelName.source}`)
const dataFileName = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/
const portRange = /^([1-9][0-9]{0,4})(-([1-9][0-9]{0,4}))?$/
const highestPort = 65_535

/** Whether a member of `from` or `to` is meant as the name of a set rather than as an address. */
export function isSetName(text: string): boolean {
  return setName.test(text)
}

/** The two ends, both included, of `22` or `"30000-32767"`. */
export function portEnds(port: number | string): [first: number, last: number] {
  const [first, last] = String(port).split('-').map(Number)
  return [first ?? Number.NaN, last ?? first ?? Number.NaN]
}

/** Whether a file of a mounted ConfigMap is a Ruleset; all others are data. */
export function isRulesetName(name: string): boolean {
  return /\.ya?ml$/.test(name)
}

/** A list that may not be empty: an empty one would either match nobody or, worse, be taken for "any". */
function listOf<T extends z.ZodType>(item: T, what: string) {
  return z
    .array(item, { error: `a list of ${what}` })
    .min(1, { error: `at least one of ${what}; leave the key out if it should not restrict anything` })
}

/** Fails a string with what `explain` throws. */
function explained(explain: (text: string) => void) {
  return (context: z.core.ParsePayload<string>) => {
    try {
      explain(context.value)
    } catch (error) {
      const input = context.value
      context.issues.push({
        code: 'custom',
        input,
        message: error instanceof Error ? error.message : String(error),
      })
    }
  }
}

const address = z
  .string({ error: 'an address or CIDR in quotes, such as "192.0.2.0/24" or "2001:db8::/32"' })
  .check(explained((text) => void parseCidr(text)))

const addressOrSet = z
  .string({ error: 'an address or CIDR in quotes, such as "2001:db8::/32", or the name of a set' })
  .check(
    explained((text) => {
      if (!isSetName(text)) parseCidr(text)
    }),
  )

const portExpected = { error: `a port from 1 to ${highestPort}, or a range in quotes, such as "30000-32767"` }

const port = z
  .union(
    [
      z.int(portExpected).min(1, portExpected).max(highestPort, portExpected),
      z.string().regex(portRange, portExpected),
    ],
    portExpected,
  )
  .check((context) => {
    const [first, last] = portEnds(context.value)
    const complain = (message: string) =>
      context.issues.push({ code: 'custom', input: context.value, message })
    if (typeof context.value === 'string' && last > highestPort) complain(`ports end at ${highestPort}`)
    else if (first > last) complain(`the range goes down; write "${last}-${first}"`)
  })

const protocolExpected = {
  error: `${[...Object.keys(protocolNames), 'any'].join(', ')}, or a protocol number from 1 to 255`,
}

const protocol = z
  .union(
    [
      z.enum(['any', ...Object.keys(protocolNames)], protocolExpected),
      z.int(protocolExpected).min(1, protocolExpected).max(255, protocolExpected),
    ],
    protocolExpected,
  )
  .check((context) => {
    const header = typeof context.value === 'number' ? extensionHeaders.get(context.value) : undefined
    if (header === undefined) return
    const message = `this is the IPv6 ${header} header, which no packet has as its protocol`
    context.issues.push({ code: 'custom', input: context.value, message })
  })

const interfaceList = listOf(
  z.string({ error: 'the name of a network interface' }).regex(interfaceName, {
    error:
      'the name of a network interface (at most 15 characters; "bond+" stands for all that begin with bond)',
  }),
  'interface names',
)

const action = z.enum(['accept', 'drop', 'reject'], { error: 'accept, drop or reject' })

const yesOrNo = z.boolean({ error: 'true or false' })

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

const burstExpected = { error: 'a whole number from 1 to 10000' }
const maxExpected = { error: 'a whole number from 1 to 1000000' }

const limit = z.strictObject(
  {
    rate: z
      .string({ error: 'a rate in quotes, such as "200/second"' })
      .check(explained((text) => void parseRate(text))),
    burst: z.int(burstExpected).min(1, burstExpected).max(10_000, burstExpected).optional(),
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
    name: z.string({ error: 'a name' }).regex(ruleName, {
      error: 'at most 63 of the characters A-Z a-z 0-9 space . _ -, with a letter or digit at both ends',
    }),
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

export const labelSelector = z.strictObject(
  {
    matchLabels: z
      .record(
        z.string().regex(labelKey, { error: 'a label key, such as "node.kubernetes.io/pool"' }),
        z
          .string({ error: 'a label value in quotes' })
          .regex(labelValue, { error: 'a label value: at most 63 letters, digits, ".", "_" and "-"' }),
        { error: 'a map of labels' },
      )
      .optional(),
    matchExpressions: z
      .array(
        z.strictObject(
          {
            key: z.string({ error: 'a label key' }).regex(labelKey, { error: 'a label key' }),
            operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], {
              error: 'In, NotIn, Exists or DoesNotExist',
            }),
            values: z
              .array(z.string({ error: 'a label value in quotes' }), { error: 'a list of values' })
              .optional(),
          },
          { error: 'a map with key, operator and values' },
        ),
        { error: 'a list of label expressions' },
      )
      .optional(),
  },
  { error: 'a label selector: a map with matchLabels or matchExpressions' },
)

const setsSchema = z.record(
  z
    .string()
    .regex(setName, { error: 'the name of a set: a letter, then letters, digits, "_" or "-", at most 40' })
    .refine((name) => !reservedSetNames.has(name), {
      error: 'a set of this name is built in; choose another',
    }),
  z.union(
    [
      z.array(address, { error: 'a list of addresses and CIDRs' }),
      z.strictObject(
        {
          file: z
            .string({ error: 'the name of a data file' })
            .regex(dataFileName, { error: 'the name of a data file beside this one, without folders' })
            .refine((name) => !isRulesetName(name), { error: 'a Ruleset is no list of addresses' }),
        },
        { error: 'a map with file' },
      ),
    ],
    { error: 'a list of addresses and CIDRs, or { file: NAME }' },
  ),
  { error: 'a map of named address lists' },
)

const priorityExpected = { error: 'a whole number from 0 to 1000000' }

export const rulesetSchema = z
  .strictObject(
    {
      apiVersion: z.literal('node-firewall.io/v1', { error: 'node-firewall.io/v1' }),
      kind: z.literal('Ruleset', { error: 'Ruleset' }),
      metadata: z.strictObject(
        {
          name: z.string({ error: 'a name' }).regex(dnsLabel, {
            error: 'at most 63 of the characters a-z 0-9 -, with a letter or digit at both ends',
          }),
        },
        { error: 'a map with name' },
      ),
      spec: z.strictObject(
        {
          nodeSelector: labelSelector.optional(),
          priority: z
            .int(priorityExpected)
            .min(0, priorityExpected)
            .max(1_000_000, priorityExpected)
            .optional(),
          interfaces: z
            .strictObject(
              {
                external: z.union([z.literal('auto'), interfaceList], {
                  error: 'auto or a list of interface names',
                }),
              },
              { error: 'a map with external' },
            )
            .optional(),
          mode: z.enum(['enforce', 'audit'], { error: 'enforce or audit' }).optional(),
          established: z.enum(['cut', 'keep'], { error: 'cut or keep' }).optional(),
          defaults: z
            .strictObject(
              {
                ingress: action.optional(),
                egress: action.optional(),
                podIngress: action.optional(),
                podEgress: action.optional(),
              },
              { error: 'a map with ingress, egress, podIngress, podEgress' },
            )
            .optional(),
          sets: setsSchema.optional(),
          rules: z.array(ruleSchema, { error: 'a list of rules' }).optional(),
        },
        { error: 'a map with rules, defaults, sets, ...' },
      ),
    },
    { error: 'a Ruleset: a map with apiVersion, kind, metadata and spec' },
  )
  .meta({ title: 'node-firewall Ruleset' })

export type RulesetDocument = z.infer<typeof rulesetSchema>
export type RuleDocument = z.infer<typeof ruleSchema>
export type LabelSelector = z.infer<typeof labelSelector>
export type SetDocument = NonNullable<RulesetDocument['spec']['sets']>[string]
export type Action = z.infer<typeof action>
