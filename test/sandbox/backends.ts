import type { Backend } from '../../agent/netfilter/backend.ts'
import { startHost } from './host.ts'

/** The backends that can be used here; what is missing is said aloud, never passed over. */
export async function usableBackends(): Promise<Backend[]> {
  const host = await startHost().catch((error: unknown) => String(error))
  if (typeof host === 'string') {
    console.warn(`SKIPPED: everything that needs a network namespace, which cannot be made here: ${host}`)
    return []
  }
  try {
    const usable: Backend[] = []
    for (const backend of ['nft', 'legacy'] as const) {
      const reason = await complaint(async () => host.exec(`iptables-${backend}`, ['-t', 'filter', '-S']))
      if (reason === undefined) usable.push(backend)
      else console.warn(`SKIPPED: everything on iptables-${backend}, which cannot be used here: ${reason}`)
    }
    return usable
  } finally {
    await host.close()
  }
}

async function complaint(attempt: () => Promise<unknown>): Promise<string | undefined> {
  return attempt().then(
    () => undefined,
    (error: unknown) => String(error),
  )
}
