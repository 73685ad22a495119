import fc from 'fast-check'
import type { Backend } from '../../agent/netfilter/backend.ts'
import type { Fall } from './kill-shim.ts'

/** `npm run test:long` makes 200. */
const kills = Number(process.env['KILLS'] ?? 24)

/** Of all that is random here; a run is repeated with the seed that it names. */
export const seed = Number(process.env['KILLS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** One kill: at a part of the whole, from 0 to 1, that is counted in commands, or for `timed` in ms. */
export type Moment = { readonly place: number; readonly fall: Fall | 'timed'; readonly delayMs: number }

export const phases = ['apply', 'switch', 'remove', 'rollback', 'clean'] as const
export type Phase = (typeof phases)[number]

const moments = fc.sample(
  fc.noBias(
    fc.record({
      place: fc.integer({ min: 0, max: 999 }).map((thousandths) => thousandths / 1000),
      fall: fc.constantFrom<Moment['fall']>('before', 'orphan', 'during', 'after', 'command', 'timed'),
      delayMs: fc.integer({ min: 0, max: 15 }),
    }),
  ),
  { numRuns: kills, seed },
)

/** An equal share for each phase on each of the backends. */
export function momentsOf(phase: Phase, backend: Backend, backends: readonly Backend[]): readonly Moment[] {
  const share = phases.indexOf(phase) * backends.length + backends.indexOf(backend)
  return moments.filter((_, index) => index % (phases.length * backends.length) === share)
}
