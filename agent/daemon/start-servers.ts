import { isIP } from 'node:net'
import type { Cidr } from '../ruleset/address.ts'
import { healthPages } from '../telemetry/health.ts'
import type { HealthSources } from '../telemetry/health.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Page } from '../telemetry/metrics-page.ts'
import { servePages } from '../telemetry/serve-pages.ts'
import type { Address, Pages, PagesServer } from '../telemetry/serve-pages.ts'
import type { AgentOptions } from './agent-options.ts'

export type ServersOptions = Pick<
  AgentOptions,
  'healthAddress' | 'metricsAddress' | 'metricsClients' | 'once'
>

export type ServersEffects = HealthSources & {
  readonly metrics: () => Promise<Page>
  readonly log: Logger
}

/** Answers probes, and Prometheus, at the addresses that can be had. */
export async function startServers(
  { healthAddress, metricsAddress, metricsClients, once }: ServersOptions,
  { metrics, log, ...health }: ServersEffects,
): Promise<Pick<PagesServer, 'close'>> {
  if (once) return { close: () => {} }
  const ofMetrics: Pages = new Map([['/metrics', async () => ({ status: 200, ...(await metrics()) })]])
  const isBeside = metricsAddress === 'default' && healthAddress !== undefined && isLoopback(healthAddress)
  const start = async (what: string, address: Address, pages: Pages, clients?: readonly Cidr[]) => {
    try {
      const onError = (error: unknown) => log.error({ err: error }, `${what} could not be answered`)
      const server = await servePages({ ...address, clients, onError }, pages)
      log.info({ address: server.address }, `answering ${what}`)
      return [server]
    } catch (error) {
      log.error({ err: error, ...address }, `no ${what} are answered: the address cannot be used`)
      return []
    }
  }
  const servers = await Promise.all([
    healthAddress === undefined
      ? []
      : start('probes', healthAddress, new Map([...healthPages(health), ...(isBeside ? ofMetrics : [])])),
    metricsAddress === undefined || metricsAddress === 'default'
      ? []
      : start('scrapes', metricsAddress, ofMetrics, metricsClients),
  ])
  return {
    close() {
      for (const server of servers.flat()) server.close()
    },
  }
}

function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
