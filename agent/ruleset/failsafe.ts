import * as z from 'zod'
import { addressOrSet, listOf } from './fields.ts'
import type { AddressSource } from './ruleset.ts'

/** Failsafes that a ruleset can narrow or switch off. */
export const failsafeNames = ['dhcp', 'kubelet', 'apiServer', 'etcd', 'tunnels', 'dns', 'apiServers'] as const
export type FailsafeName = (typeof failsafeNames)[number]

/** Those that stay whatever a ruleset says: without them no rule would work as it is written. */
export const lastingFailsafes: readonly string[] = [
  'established',
  'loopback',
  'icmpErrors',
  'icmpv6Errors',
  'neighbourDiscovery',
  'igmp',
  'multicastListeners',
]

/** `off`, or addresses that take the place of its own: sources of what comes in, destinations of what goes out. */
export type FailsafeSetting = 'off' | NarrowedFailsafe
export type NarrowedFailsafe = {
  readonly from?: readonly AddressSource[]
  readonly to?: readonly AddressSource[]
}

const addresses = listOf(addressOrSet, 'addresses or sets').optional()
const both = setting('"off", or a map with from and to', { from: addresses, to: addresses })
const incoming = setting('"off", or a map with from', { from: addresses })
const outgoing = setting('"off", or a map with to', { to: addresses })

function setting<T extends z.ZodRawShape>(error: string, shape: T) {
  return z.union([z.literal('off'), z.strictObject(shape, { error })], { error }).optional()
}

export const failsafeSchema = z.strictObject(
  {
    dhcp: both,
    kubelet: incoming,
    apiServer: incoming,
    etcd: incoming,
    tunnels: both,
    dns: outgoing,
    apiServers: outgoing,
  } satisfies Record<FailsafeName, unknown>,
  { error: `a map of ${failsafeNames.join(', ')}` },
)

export type FailsafeDocument = z.infer<typeof failsafeSchema>
