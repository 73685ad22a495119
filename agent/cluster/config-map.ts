import * as z from 'zod'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/** One version of a ConfigMap: its keys, or that it is not there. */
export type ConfigMap = {
  readonly version: string
  /** The bytes of each key, as the kubelet would write them to a file; undefined: there is no such ConfigMap. */
  readonly keys: ReadonlyMap<string, Uint8Array> | undefined
  /** When it was last changed, in ms since the epoch, by the clock of the API server; absent: it does not say. */
  readonly changedAt?: number
}

/** `data` is text, `binaryData` bytes in base64; no key is in both. */
export function parseConfigMap(value: unknown, request: ApiRequest): ConfigMap {
  const { metadata, data, binaryData } = parse(configMapBody, value, request)
  const keys = new Map<string, Uint8Array>()
  for (const [key, text] of Object.entries(data ?? {})) keys.set(key, Buffer.from(text))
  for (const [key, text] of Object.entries(binaryData ?? {})) keys.set(key, Buffer.from(text, 'base64'))
  const times = (metadata.managedFields ?? []).map(({ time }) => Date.parse(time ?? ''))
  const changedAt = Math.max(...times.filter((time) => !Number.isNaN(time)))
  return { version: metadata.resourceVersion, keys, ...(Number.isFinite(changedAt) ? { changedAt } : {}) }
}

export function sizeOf({ keys }: ConfigMap): number {
  return [...(keys?.values() ?? [])].reduce((sum, bytes) => sum + bytes.byteLength, 0)
}

/**
 * Over how many ms so many nodes spread their reads of a ConfigMap of so many bytes, and the change that each of them
 * then makes and probes: 500 nodes and 160 MB a second at most for all API servers together. What fits into the first
 * 0.2 s, or second, is not spread.
 */
export function spreadMs(bytes: number, nodes: number): number {
  const byNodes = Math.max(0, nodes - unspreadNodes) * msPerNode
  const byBytes = Math.max(0, nodes * bytes - 1_000 * bytesPerMs) / bytesPerMs
  return Math.max(byNodes, byBytes)
}

const unspreadNodes = 100
const msPerNode = 2
const bytesPerMs = 160_000

const configMapBody = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    managedFields: z.array(z.object({ time: z.string().nullish() })).nullish(),
  }),
  data: z.record(z.string(), z.string()).nullish(),
  binaryData: z.record(z.string(), z.string()).nullish(),
})
