import { isIP } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { healthPages } from '../telemetry/health.ts'
import type { HealthSources } from '../telemetry/health.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Page } from '../telemetry/metrics-page.ts'
import { servePages } from '../telemetry/serve-pages.ts'
import type { Address, Pages, PagesOptions, PagesServer } from '../telemetry/serve-pages.ts'
import type { AgentOptions } from './agent-options.ts'

export type ServersOptions = Pick<
  AgentOptions,
  'healthAddress' | 'metricsAddress' | 'metricsClients' | 'once'
>

export type ServersEffects = HealthSources & {
  readonly metrics: () => Promise<Page>
  readonly log: Logger
  /** How often an address that cannot be used is tried again: 5 s. */
  readonly retryMs?: number
}

/**
 * Answers probes, and Prometheus; resolves when each address was tried. One that cannot be used is tried again: the agent
 * before may be ending, and an address of the node may come later than the agent.
 */
export async function startServers(
  { healthAddress, metricsAddress, metricsClients, once }: ServersOptions,
  { metrics, log, retryMs = 5_000, ...health }: ServersEffects,
): Promise<Pick<PagesServer, 'close'>> {
  if (once) return { close: () => {} }
  const ofMetrics: Pages = new Map([['/metrics', async () => ({ status: 200, ...(await metrics()) })]])
  const isBeside = metricsAddress === 'default' && healthAddress !== undefined && isLoopback(healthAddress)
  const closing = new AbortController()
  const { signal } = closing

  const start = async (what: string, options: Address & Pick<PagesOptions, 'clients'>, pages: Pages) => {
    const onError = (error: unknown) => log.error({ err: error }, `${what} could not be answered`)
    const server = await servePages({ ...options, onError }, pages)
    log.info({ address: server.address }, `answering ${what}`)
    if (signal.aborted) server.close()
    signal.addEventListener('abort', server.close, { once: true })
  }
  const keepStarting = async (...server: Parameters<typeof start>) => {
    for (let isOpen = false; !isOpen && !signal.aborted;) {
      await pause(retryMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      isOpen = await start(...server).then(
        () => true,
        () => false,
      )
    }
  }
  const tryToStart = async (...server: Parameters<typeof start>) => {
    try {
      await start(...server)
    } catch (error) {
      const [what, { host, port }] = server
      log.error({ err: error, host, port }, `no ${what} are answered yet: the address cannot be used`)
      void keepStarting(...server)
    }
  }
  await Promise.all([
    healthAddress === undefined
      ? undefined
      : tryToStart(
          'probes',
          healthAddress,
          new Map([...healthPages(health), ...(isBeside ? ofMetrics : [])]),
        ),
    metricsAddress === undefined || metricsAddress === 'default'
      ? undefined
      : tryToStart('scrapes', { ...metricsAddress, clients: metricsClients }, ofMetrics),
  ])
  return { close: () => closing.abort() }
}

function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
