import type { Command } from 'commander'
import { findAccess } from '../cluster/access.ts'
import { connectConfigMaps } from '../cluster/config-maps.ts'
import type { ConfigMaps } from '../cluster/config-maps.ts'
import { removeStartupTaint } from '../cluster/startup-taint.ts'
import type { ProcessSignals } from '../daemon/agent-options.ts'
import { uninstallWait } from '../fleet/uninstall-wait.ts'
import type { TargetPid } from '../host/exec.ts'
import { watchConfigMapsOption } from './agent-flags.ts'
import { clean } from './clean.ts'
import type { CleanNode } from './clean.ts'
import { clientFor, connect, nodeOf } from './node-side.ts'
import type { NodeFlags } from './node-side.ts'
import * as options from './options.ts'
import { verify } from './verify.ts'
import type { VerifyOptions } from './verify.ts'

/** Adds the commands for the node on which they run: what is in force there, and its end. */
export function addNodeCommands(
  program: Command,
  signals: ProcessSignals,
  finish: (code: number) => void,
): void {
  program
    .command('verify')
    .description('compare the kernel with the rules of a folder; exit code 0 in sync, 3 drift, 4 unknown')
    .addOption(options.rulesOption())
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.standaloneOption())
    .addOption(options.backendOption())
    .addOption(options.stateDirOption())
    .addOption(options.namespaceOption())
    .addOption(watchConfigMapsOption())
    .action(async (flags: VerifyFlags, command: Command) => {
      const node = nodeOf(flags)
      const labels = async () => ('labels' in node ? node.labels : (await node.read(signals.stop)).labels)
      // Files that somebody names himself are what he asks about.
      const isAsked = command.getOptionValueSource('rules') === 'cli'
      const wanted = 'labels' in node || isAsked ? [] : flags.watchConfigmaps
      finish(await verify({ ...flags, labels, configMaps: configMapsOf(flags.namespace, wanted) }))
    })

  program
    .command('clean')
    .description('remove all that is ours, on both backends and families, and show that it is gone')
    .addOption(options.targetPidOption())
    .addOption(options.nodeOption())
    .addOption(options.statusFileOption())
    .addOption(options.stateDirOption())
    .addOption(options.unitDirOption())
    .addOption(options.lockFileOption())
    .action(async ({ node, ...flags }: CleanFlags) => {
      const ofNode = node === undefined ? undefined : cleanNode(node, signals.stop)
      const { stateDir, lockFile } = flags
      const kept = { stateDir: options.unlessOff(stateDir), lockFile: options.unlessOff(lockFile) }
      finish(await clean({ ...flags, ...kept, node: ofNode, stop: signals.stop }))
    })

  program
    .command('uninstall-wait', { hidden: true })
    .description('wait until every node is clean, then let the namespace go, and all that is named with it')
    .addOption(options.namespaceOption())
    .option('--with <path>', 'an object outside of the namespace that goes with it', options.collect, [])
    .action(async (flags: { namespace: string; with: readonly string[] }) => {
      finish(await uninstallWait({ ...flags, client: clientFor(), signal: signals.stop }))
    })
}

type VerifyFlags = NodeFlags &
  Omit<VerifyOptions, 'labels' | 'configMaps'> & {
    readonly namespace: string
    readonly watchConfigmaps: readonly string[]
  }

function configMapsOf(namespace: string, names: readonly string[]): ConfigMaps | undefined {
  if (names.length === 0) return undefined
  return connectConfigMaps({ getAccess: findAccess(process.env), namespace, names })
}

type CleanFlags = NodeFlags & {
  readonly targetPid: TargetPid
  readonly statusFile?: string
  readonly stateDir: string
  readonly unitDir: string
  readonly lockFile: string
}

function cleanNode(name: string, signal: AbortSignal): CleanNode {
  return {
    patchAnnotations: connect(name).patchAnnotations,
    removeTaint: async () => removeStartupTaint(name, clientFor(), signal),
  }
}
