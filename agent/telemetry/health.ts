import { noPage } from './serve-pages.ts'
import type { Answer, Pages } from './serve-pages.ts'

export type Health = {
  /** Nothing if the agent is well, else why a restart is due. */
  readonly ailment: () => string | undefined
  /** Nothing if what should be in force was read back, else what is wrong. */
  readonly unready: () => string | undefined
}

export type HealthSources = Health & {
  /** What was denied of late, for people on the node; absent: nobody looks. */
  readonly denied?: () => unknown
}

/**
 * Answers for the kubelet's probes: `/healthz` fails only for what a restart can mend, `/readyz` while the rules in
 * the kernel are not known to be those that should be there. `/denied` answers nobody but this host: it names who was
 * turned away.
 */
export function healthPages({ ailment, unready, denied }: HealthSources): Pages {
  return new Map([
    ['/healthz', async () => answer(ailment())],
    ['/readyz', async () => answer(unready())],
    ['/denied', async (asker?: string) => (isLoopback(asker) ? listing(denied?.() ?? null) : noPage)],
  ])
}

function answer(complaint: string | undefined): Answer {
  return { status: complaint === undefined ? 200 : 503, type: 'text/plain', text: `${complaint ?? 'ok'}\n` }
}

function listing(value: unknown): Answer {
  return { status: 200, type: 'application/json', text: `${JSON.stringify(value)}\n` }
}

/** Of the other end of a connection. */
function isLoopback(address = ''): boolean {
  return /^(?:::ffff:)?127\.|^::1$/.test(address)
}
