import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import * as z from 'zod'
import { messageOf } from '../errors.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import type { Labels } from '../ruleset/select.ts'
import { annotationPrefix } from '../status/annotations.ts'
import { UsageError } from './usage-error.ts'

/** What a Node says of itself, as far as rules depend on it. */
export type NodeFile = {
  readonly labels?: Labels
  /** Interfaces with a default route, which the agent on the node writes into its status. */
  readonly external?: readonly string[]
  readonly addresses?: readonly Cidr[]
}

const nodeShape = z.object({
  kind: z.literal('Node'),
  metadata: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  status: z
    .object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]) })
    .default({ addresses: [] }),
})
const detailsShape = z.object({ interfaces: z.object({ external: z.array(z.string()) }) })

/**
 * Reads a Node as `kubectl get node NAME -o yaml` prints it.
 *
 * @throws {UsageError} when the file cannot be read, or holds something else
 */
export async function readNodeFile(file: string): Promise<NodeFile> {
  const { metadata, status } = await readAs(file, nodeShape)
  const details = detailsShape.safeParse(tryJson(metadata.annotations[`${annotationPrefix}status`] ?? ''))
  const addresses = status.addresses.filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
  return {
    labels: metadata.labels,
    ...(addresses.length > 0 ? { addresses: addresses.map(({ address }) => parseCidr(address)) } : {}),
    ...(details.success ? { external: details.data.interfaces.external } : {}),
  }
}

async function readAs<T>(file: string, shape: z.ZodType<T>): Promise<T> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`reading the node from ${file}: ${messageOf(error)}`, { cause: error })
  }
  const result = shape.safeParse(parse(text, { logLevel: 'silent' }))
  if (result.success) return result.data
  throw new UsageError(
    `reading the node from ${file}: expected a Node, as "kubectl get node NAME -o yaml" prints it`,
  )
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
