import * as z from 'zod'
import { parseCidr } from './address.ts'
import { extensionHeaders, protocolNames } from './protocol.ts'

/*
 * The values that fields of a Ruleset hold. Each `error` completes the sentence "found X, expected ...", each
 * `check` finds what a type cannot say.
 */

const setName = /^[A-Za-z][A-Za-z0-9_-]{0,39}$/
const interfaceName = /^([A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{1,14}\+)$/
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

/** The name of a rule or a probe, unique in its list; it stands in comments of iptables and in messages. */
export const entryName = z
  .string({ error: 'a name' })
  .regex(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/, {
    error: 'at most 63 of the characters A-Z a-z 0-9 space . _ -, with a letter or digit at both ends',
  })

/** A list that may not be empty: an empty one would either match nobody or, worse, be taken for "any". */
export function listOf<T extends z.ZodType>(item: T, what: string) {
  return z
    .array(item, { error: `a list of ${what}` })
    .min(1, { error: `at least one of ${what}; leave the key out if it should not restrict anything` })
}

/** Fails a string with what `explain` throws. */
export function explained(explain: (text: string) => void) {
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

export const address = z
  .string({ error: 'an address or CIDR in quotes, such as "192.0.2.0/24" or "2001:db8::/32"' })
  .check(explained((text) => void parseCidr(text)))

export const addressOrSet = z
  .string({ error: 'an address or CIDR in quotes, such as "2001:db8::/32", or the name of a set' })
  .check(
    explained((text) => {
      if (!isSetName(text)) parseCidr(text)
    }),
  )

const portExpected = { error: `a port from 1 to ${highestPort}, or a range in quotes, such as "30000-32767"` }

export const port = z
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

export const protocol = z
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

export const interfaceList = listOf(
  z.string({ error: 'the name of a network interface' }).regex(interfaceName, {
    error:
      'the name of a network interface (at most 15 characters; "bond+" stands for all that begin with bond)',
  }),
  'interface names',
)

export const action = z.enum(['accept', 'drop', 'reject'], { error: 'accept, drop or reject' })

export const yesOrNo = z.boolean({ error: 'true or false' })

export type Action = z.infer<typeof action>
