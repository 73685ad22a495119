import type { Answer, Pages } from './serve-pages.ts'

export type Health = {
  /** Nothing if the agent is well, else why a restart is due. */
  readonly ailment: () => string | undefined
  /** Nothing if what should be in force was read back, else what is wrong. */
  readonly unready: () => string | undefined
}

/**
 * Answers for the kubelet's probes: `/healthz` fails only for what a restart can mend, `/readyz` while the rules in
 * the kernel are not known to be those that should be there.
 */
export function healthPages({ ailment, unready }: Health): Pages {
  return new Map([
    ['/healthz', async () => answer(ailment())],
    ['/readyz', async () => answer(unready())],
  ])
}

function answer(complaint: string | undefined): Answer {
  return { status: complaint === undefined ? 200 : 503, type: 'text/plain', text: `${complaint ?? 'ok'}\n` }
}
