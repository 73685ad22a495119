import { join } from 'node:path'
import * as z from 'zod'
import type { KnownServer } from '../policy/remember-servers.ts'
import { formatCidr, parseCidr } from '../ruleset/address.ts'
import { readSealed, removeTemporaries, writeSealed } from './sealed-file.ts'

/** Its name in the state folder. */
export const serverFile = 'api-servers'

/** Reads where the API server was found; undefined when nobody has kept it, or what is there cannot be used. */
export async function readServerFile(folder: string): Promise<readonly KnownServer[] | undefined> {
  const content = await readSealed(join(folder, serverFile))
  if (!Buffer.isBuffer(content)) return undefined
  try {
    return content.toString() === '' ? undefined : serverList.parse(JSON.parse(content.toString()))
  } catch {
    return undefined
  }
}

/** @throws a system error when it cannot be written; what was kept before is then whole */
export async function writeServerFile(folder: string, servers: readonly KnownServer[]): Promise<void> {
  const lines = servers.map(({ address, ...rest }) => ({ address: formatCidr(address), ...rest }))
  await removeTemporaries(folder, [serverFile]).catch(() => {}) // a folder that is missing has none
  await writeSealed(join(folder, serverFile), [Buffer.from(`${JSON.stringify(lines)}\n`)])
}

const serverList = z.array(
  z.object({
    address: z.string().transform((text) => parseCidr(text)),
    port: z.int().min(1).max(65_535),
    of: z.enum(['kubelet', 'agent']),
    seenAt: z.number(),
  }),
)
