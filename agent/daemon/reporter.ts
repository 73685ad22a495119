import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Events } from '../cluster/events.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import { replaceFile } from '../host/status-file.ts'
import type { Memory, Trigger } from '../pass.ts'
import { toAnnotations } from '../status/annotations.ts'
import { eventsBetween } from '../status/events.ts'
import { createPublisher } from '../status/publish.ts'
import type { Status } from '../status/status.ts'
import type { Logger } from '../telemetry/log.ts'

export type Reporter = {
  readonly report: (status: Status, memory: Memory, triggers: readonly Trigger[]) => void
  /** What the Node carries, according to the API server. */
  readonly seen: (annotations: Readonly<Record<string, string>>) => void
  /** Writes what is still to be written. */
  readonly flush: () => Promise<void>
}

export type ReporterOptions = {
  readonly log: Logger
  readonly node: OwnNode | undefined
  readonly events: Events | undefined
  readonly statusFile: string | undefined
  readonly dryRun: boolean
}

/** Tells of each pass wherever people look: in the log, on the Node, in a file. */
export function createReporter({ log, node, events, statusFile, dryRun }: ReporterOptions): Reporter {
  const toLog = createLogReport(log)
  const toFile = statusFile === undefined || dryRun ? undefined : createFileReport(statusFile, log)
  const publisher = node === undefined || dryRun ? undefined : publishOn(node, log)
  let before: Status | undefined
  return {
    report(status, memory, triggers) {
      toLog(status, memory, triggers)
      for (const event of eventsBetween(before, status)) events?.emit(event)
      before = status
      toFile?.write(status)
      publisher?.publish(status)
    },
    seen: (annotations) => publisher?.seen(annotations),
    async flush() {
      await Promise.all([toFile?.flush(), publisher?.flush(), events?.flush()])
    },
  }
}

/** Changes are told at info, repetitions at debug. */
function createLogReport(log: Logger) {
  let before = ''
  return (
    { state, message, ruleset, details }: Status,
    { families, drift }: Memory,
    triggers: readonly Trigger[],
  ) => {
    for (const [family, outcome] of Object.entries(families)) {
      if (outcome.wrote)
        log.info({ family, backend: details.backend, ruleset: outcome.seen?.ruleset }, 'rules written')
      for (const { kind, message: what, healed } of outcome.drift) {
        log.warn({ family, kind, healed, by: drift.last?.by }, `changed from outside: ${what}`)
      }
      if (outcome.error !== undefined) log.error({ family, err: outcome.error }, 'a family could not be kept')
    }
    const { problems, warnings, notEnforceable } = details
    const now = JSON.stringify([state, message, ruleset, problems, warnings, notEnforceable])
    const level = now === before ? 'debug' : state !== 'Invalid' && state !== 'Degraded' ? 'info' : 'warn'
    before = now
    const reasons = triggers.map(({ reason }) => reason)
    log[level]({ state, ruleset, reasons, problems, warnings, notEnforceable }, message)
  }
}

/** One write at a time, and of several waiting ones only the newest. */
function createFileReport(path: string, log: Logger) {
  let writing: Promise<void> | undefined
  let next: Status | undefined
  const write = async () => {
    for (let status = next; status !== undefined; status = next) {
      next = undefined
      try {
        await mkdir(dirname(path), { recursive: true })
        await replaceFile(path, `${JSON.stringify(toAnnotations(status), null, 2)}\n`)
      } catch (error) {
        log.warn({ err: error, path }, 'the status file cannot be written')
      }
    }
    writing = undefined
  }
  return {
    write(status: Status) {
      next = status
      writing ??= write()
    },
    flush: async () => writing,
  }
}

function publishOn(node: OwnNode, log: Logger) {
  return createPublisher({
    patch: async (changes) => void (await node.patchAnnotations(changes)),
    now: () => performance.now(),
    date: Date.now,
    timer: (ms, callback) => {
      const timer = setTimeout(callback, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    random: Math.random,
    onError: (error, again) => {
      const level = again ? 'debug' : 'warn'
      log[level]({ err: error }, 'the status could not be written to the Node; it is tried again')
    },
  })
}
