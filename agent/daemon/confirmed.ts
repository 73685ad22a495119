import { installBootUnit } from '../host/boot-unit.ts'
import { saveBootRestore } from '../host/boot-restore.ts'
import { isExpected } from '../errors.ts'
import type { BootState } from '../netfilter/boot-text.ts'
import type { Memory } from '../pass.ts'
import { families } from '../ruleset/address.ts'
import type { Logger } from '../telemetry/log.ts'

export type ConfirmedOptions = {
  readonly log: Logger
  /** Where the rules for the start of the machine are kept, and the folder of its units; absent: not at all. */
  readonly boot: { readonly stateDir: string; readonly unitDir: string } | undefined
  /** Takes the startup taint from the Node; absent: it has none. */
  readonly removeTaint: (() => Promise<boolean>) | undefined
}

export type Confirmed = {
  /** Takes note of what a pass has left. Returns at once. */
  readonly note: (memory: Memory) => void
  /** Resolves when all that follows was done, or has failed. */
  readonly settled: () => Promise<void>
}

/** Does what has to follow once rules are confirmed and in force; what fails is tried again after a later pass. */
export function createConfirmed({ log, boot, removeTaint }: ConfirmedOptions): Confirmed {
  let saved: string | undefined
  let hasTaint = removeTaint !== undefined
  let work = Promise.resolve()

  const keepForBoot = async (
    { stateDir, unitDir }: NonNullable<typeof boot>,
    state: BootState | undefined,
  ) => {
    const text = JSON.stringify(state)
    if (text === saved) return
    await saveBootRestore(stateDir, state)
    await installBootUnit(unitDir, stateDir)
    saved = text
    log.info({ stateDir }, 'rules for the start of the machine are kept')
  }
  const follow = async (memory: Memory) => {
    try {
      if (boot !== undefined) await keepForBoot(boot, bootStateOf(memory))
      if (hasTaint && (await removeTaint?.()) === true) log.info('the startup taint is removed')
      hasTaint = false
    } catch (error) {
      if (!isExpected(error)) throw error
      log.warn({ err: error }, 'what follows a confirmed change could not be done; it is tried again')
    }
  }
  return {
    note(memory) {
      if (memory.progress === undefined && isInForce(memory)) work = work.then(async () => follow(memory))
    },
    settled: async () => work,
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
