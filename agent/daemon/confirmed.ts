import { installBootUnit, isStartedBySystemd } from '../host/boot-unit.ts'
import { saveBootRestore } from '../host/boot-restore.ts'
import { isExpected, messageOf } from '../errors.ts'
import type { BootState } from '../netfilter/boot-text.ts'
import type { TargetPid } from '../host/exec.ts'
import type { Memory } from '../pass.ts'
import { families } from '../ruleset/address.ts'
import type { Logger } from '../telemetry/log.ts'

/** What has a machine restore rules at its start; absent: it does not. */
export type BootOptions = {
  /** Where the rules are kept. */
  readonly stateDir: string
  /** The folder of the machine's units. */
  readonly unitDir: string
  /** A process of the machine, where it is not known to be this one's. */
  readonly targetPid: TargetPid
}

export type ConfirmedOptions = {
  readonly log: Logger
  readonly boot: BootOptions | undefined
  /** Takes the startup taint from the Node; absent: it has none. */
  readonly removeTaint: (() => Promise<boolean>) | undefined
}

export type Confirmed = {
  /** Takes note of what a pass has left. Returns at once. */
  readonly note: (memory: Memory) => void
  /** Another Node has taken the place of the one that was seen: it has joined with the taint again. */
  readonly renewNode: () => void
  /** Resolves when all that follows was done, or has failed. */
  readonly settled: () => Promise<void>
  /** What was asked for and does not follow, as warnings. */
  readonly problems: () => readonly string[]
}

const noSystemd =
  'boot-restore: systemd has not started this machine, so nobody will run the unit that restores the rules'

/** Does what has to follow once rules are confirmed and in force; what fails is tried again after a later pass. */
export function createConfirmed({ log, boot, removeTaint }: ConfirmedOptions): Confirmed {
  let saved: string | undefined
  let hasTaint = removeTaint !== undefined
  let work = Promise.resolve()
  let problems: readonly string[] = []

  const keepForBoot = async ({ stateDir, unitDir, targetPid }: BootOptions, state: BootState | undefined) => {
    const text = JSON.stringify(state)
    if (text === saved) return
    await saveBootRestore(stateDir, state)
    await installBootUnit(unitDir, stateDir)
    saved = text
    problems = targetPid === 'self' || (await isStartedBySystemd(targetPid)) ? [] : [noSystemd]
    log.info({ stateDir }, 'rules for the start of the machine are kept')
  }
  const takeTaint = async () => {
    // Before, so that a Node that comes meanwhile is not forgotten.
    hasTaint = false
    try {
      if ((await removeTaint?.()) === true) log.info('the startup taint is removed')
    } catch (error) {
      hasTaint = true
      throw error
    }
  }
  const follow = async (memory: Memory) => {
    try {
      if (boot !== undefined) {
        await keepForBoot(boot, bootStateOf(memory)).catch((error: unknown) => {
          problems = [
            `boot-restore: the rules for the start of the machine are not kept: ${messageOf(error)}`,
          ]
          throw error
        })
      }
      // The node has joined to keep to what is written now, and not to what was before.
      if (hasTaint && memory.progress === undefined) await takeTaint()
    } catch (error) {
      if (!isExpected(error)) throw error
      log.warn({ err: error }, 'what follows a confirmed change could not be done; it is tried again')
    }
  }
  return {
    note(memory) {
      // What stands while another change waits, is stopped or was rolled back was confirmed before.
      const isTried = memory.progress?.kind === 'confirming'
      if (!isTried && isInForce(memory)) work = work.then(async () => follow(memory))
    },
    renewNode: () => void (hasTaint = removeTaint !== undefined),
    settled: async () => work,
    problems: () => problems,
  }
}

/** Whether all of what was to be in force is. */
export function isInForce({ decision, families: kept }: Memory): boolean {
  const outcomes = Object.values(kept)
  const isKnown = decision !== undefined && decision.wanted.kind !== 'whatever is there'
  return isKnown && outcomes.length > 0 && outcomes.every(({ seen }) => seen?.asWanted === true)
}

function bootStateOf({ backend, families: kept }: Memory): BootState | undefined {
  const desired = Object.fromEntries(
    families.flatMap((family) => {
      const own = kept[family]?.desired
      return own === undefined ? [] : [[family, own]]
    }),
  )
  return backend === undefined || Object.keys(desired).length === 0 ? undefined : { backend, desired }
}
