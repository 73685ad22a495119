import type { Server } from 'node:http'
import { serveHealth } from '../telemetry/health.ts'
import type { HealthPages } from '../telemetry/health.ts'
import type { Logger } from '../telemetry/log.ts'

/** Answers probes at the address, if there is one and it can be had. */
export async function startHealth(
  address: { readonly host: string; readonly port: number } | undefined,
  health: HealthPages,
  log: Logger,
): Promise<Server | undefined> {
  if (address === undefined) return undefined
  try {
    const server = await serveHealth(address, health)
    log.info({ address: server.address() }, 'answering probes')
    return server
  } catch (error) {
    log.error({ err: error, ...address }, 'no probes are answered: the address cannot be used')
    return undefined
  }
}
