/** All times in ms, of the node's own monotonic clock: no two clocks are ever compared. */

/** A node that is ready but does not take up the change, as when its files do not come, blocks no longer than this. */
export const idlePatienceMs = 5 * 60_000

/** Nor does one that waits, or tries and never ends; a trial has a deadline of its own, far below. */
export const busyPatienceMs = 15 * 60_000

/** A claim is worth this long to the one who made it; to others it is void after twice as long. */
export const claimMs = 30_000
export const voidClaimMs = 2 * claimMs

/** So many nodes after the canaries may take the place of those that are not there. */
export const substitutes = 16

/** The shortest time between two looks at the same node. */
const shortestMs = 3_000

/** What each node that looks adds to the time between two looks: all nodes together make 50 requests a second. */
const perReaderMs = 20

/** Between two reads of one node: 50 a second at most. */
export const spacingMs = 20

/** As many nodes that are not done are read in a row, at most. */
export const longestSurvey = 25

/** How long to wait between two looks when so many nodes read so much. */
export function intervalMs(reads: number): number {
  return Math.max(shortestMs, reads * perReaderMs)
}

/** The longer nothing is new, the less often is looked: each 60 s after 20 minutes. */
export function patientMs(ms: number, waitedMs: number): number {
  return Math.max(ms, Math.min(60_000, waitedMs / 20))
}

/** What has stopped is not in a hurry. */
export function stoppedIntervalMs(nodes: number): number {
  return Math.max(30_000, intervalMs(nodes))
}

/** A third more or less, so that nodes do not fall into step. */
export function jitter(ms: number, random: number): number {
  return ms * (2 / 3 + (2 / 3) * random)
}
