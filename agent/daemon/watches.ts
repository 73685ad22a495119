import type { OwnNode } from '../cluster/own-node.ts'
import type { TargetPid } from '../host/exec.ts'
import { watchModeFile } from '../host/mode-file.ts'
import { createNetworkReader } from '../host/network-events.ts'
import type { Started } from '../host/started.ts'
import { watchFolder } from '../host/watch-folder.ts'
import { watchCommand } from '../host/watch-command.ts'
import { createDriftReader } from '../netfilter/drift-events.ts'
import type { Labels } from '../ruleset/select.ts'
import type { Schedule } from '../schedule.ts'
import type { Logger } from '../telemetry/log.ts'
import { startSchedule } from './cron.ts'
import type { Loop } from './loop.ts'
import type { Orders } from './orders.ts'
import type { Reporter } from './reporter.ts'

/** What cannot be followed, each with the warning that says so. */
export type Outages = Map<string, string>

/** Ends what was started, and resolves when it has ended. */
export type Stop = () => Promise<void>

export function watchRules(folder: string, schedule: Schedule, log: Logger): Stop {
  return watchFolder(folder, {
    onChange: () => schedule.trigger({ reason: 'files' }),
    onError: (error) =>
      log.warn({ err: error, folder }, 'watching the rules failed; the verify pass reads them too'),
  })
}

type DriftWatch = {
  readonly authorOf: Started['authorOf']
  readonly loop: Loop
  readonly schedule: Schedule
  readonly outages: Outages
  readonly log: Logger
}

/**
 * `nft monitor` reads all sets first, and up to nft 1.1.1 it crashes on those that nft 1.1.2 or later has made, as
 * kube-proxy's in its nftables mode. This one reads none. It would keep its lines to itself until a block is full.
 */
const lessKnowing = ['stdbuf', '-oL', 'xtables-monitor', '-e'] as const

/** Only the nft backend tells of changes; on the legacy one they are found by the verify pass. */
export function watchDrift(
  targetPid: TargetPid,
  { authorOf, loop, schedule, outages, log }: DriftWatch,
): Stop {
  const controller = new AbortController()
  const readDrift = createDriftReader(authorOf)
  const watching = watchCommand(
    targetPid,
    [['nft', 'monitor'], lessKnowing],
    {
      onLine(line) {
        const by = readDrift(line)
        if (by !== undefined) schedule.trigger({ reason: 'drift', by })
      },
      onGap(reason, isFailing) {
        if (loop.backend() === 'legacy') return
        log.warn({ reason }, 'following the changes of netfilter was interrupted')
        if (isFailing)
          outages.set('netfilter', `changes from outside are noticed only ${byVerifying(reason)}`)
        schedule.trigger({ reason: 'drift' })
      },
      onSteady: () => void outages.delete('netfilter'),
    },
    controller.signal,
  )
  return async () => {
    controller.abort()
    await watching
  }
}

type NetworkWatch = { readonly schedule: Schedule; readonly outages: Outages; readonly log: Logger }

/** Devices, addresses and default routes; where they cannot be followed, each pass that verifies reads them. */
export function watchNetwork(targetPid: TargetPid, { schedule, outages, log }: NetworkWatch): Stop {
  const controller = new AbortController()
  const changesFacts = createNetworkReader()
  const watching = watchCommand(
    targetPid,
    ['ip', '-oneline', 'monitor', 'link', 'address', 'route'],
    {
      onLine(line) {
        if (changesFacts(line)) schedule.trigger({ reason: 'network' })
      },
      onGap(reason, isFailing) {
        log.warn({ reason }, 'following the changes of the network was interrupted')
        if (isFailing) outages.set('network', `changes of devices are noticed only ${byVerifying(reason)}`)
      },
      onSteady: () => void outages.delete('network'),
    },
    controller.signal,
  )
  return async () => {
    controller.abort()
    await watching
  }
}

function byVerifying(reason: string): string {
  return `by the verify pass, as what follows them soon ends each time: ${reason.replaceAll(/\s+/g, ' ')}`
}

/** Cron expressions, with seconds. */
export type Schedules = { readonly verifySchedule: string; readonly reapplySchedule: string }

export function startCron({ verifySchedule, reapplySchedule }: Schedules, schedule: Schedule): Stop {
  const stops = [
    startSchedule(verifySchedule, () => schedule.trigger({ reason: 'verify' })),
    startSchedule(reapplySchedule, () => schedule.trigger({ reason: 'reapply' })),
  ]
  return async () => {
    for (const stop of stops) stop()
  }
}

/** The file by which somebody on the host switches this node off, or to audit mode. */
export function watchMode(folder: string | undefined, { orders, log }: ModeWatch): Stop {
  if (folder === undefined) return async () => {}
  return watchModeFile(folder, {
    onChange: () => void orders.readFile(),
    onError: (error) => log.warn({ err: error, folder }, 'watching the mode on the host failed'),
  })
}

type ModeWatch = { readonly orders: Orders; readonly log: Logger }

type NodeWatch = {
  readonly schedule: Schedule
  readonly log: Logger
  readonly reporter: Reporter
  readonly orders: Orders
  readonly onLabels: (labels: Labels) => void
  /** The Node was deleted and made again. */
  readonly onNewNode: () => void
}

export function watchNode(
  node: OwnNode,
  { schedule, log, reporter, orders, onLabels, onNewNode }: NodeWatch,
): Stop {
  const controller = new AbortController()
  let known = ''
  let knownUid: string | undefined
  const watching = node.watch(
    {
      onNode({ uid, labels, annotations }) {
        reporter.seen(annotations)
        orders.setAnnotation(annotations)
        const seen = JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        const isAnother = knownUid !== undefined && uid !== knownUid
        knownUid = uid
        if (isAnother) onNewNode()
        if (seen === known && !isAnother) return
        known = seen
        onLabels(labels)
        schedule.trigger({ reason: 'node' })
      },
      onError: (error) => log.warn({ err: error }, 'watching the own Node failed; it is tried again'),
    },
    controller.signal,
  )
  return async () => {
    controller.abort()
    await watching
  }
}
