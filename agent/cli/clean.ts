import { codeOf } from '../errors.ts'
import { removeBootUnit } from '../host/boot-unit.ts'
import type { TargetPid } from '../host/exec.ts'
import { removeStateFolder } from '../host/state-folder.ts'
import { acquireLock, LockError } from '../host/lock.ts'
import type { Lock } from '../host/lock.ts'
import { removeFile } from '../host/status-file.ts'
import { backends } from '../netfilter/backend.ts'
import { clearBackend, clearSets } from '../netfilter/clear.ts'
import { unmake } from '../netfilter/unmake.ts'
import type { Unmade } from '../netfilter/unmake.ts'
import { families } from '../ruleset/address.ts'
import type { Annotations } from '../status/annotations.ts'
import { noAnnotations } from '../status/annotations.ts'
import { openNetwork } from '../daemon/node.ts'

export type CleanOptions = {
  readonly targetPid: TargetPid
  readonly statusFile?: string
  /** Folder of what the agent keeps on the host. */
  readonly stateDir: string | undefined
  /** Folder of the host's systemd units. */
  readonly unitDir: string
  /** What there is to change on the Node of this machine, where there is one. */
  readonly node: CleanNode | undefined
  /** File on the host that lets one agent act at a time: one that ran meanwhile would put everything back. */
  readonly lockFile: string | undefined
  readonly stop: AbortSignal
}

export type CleanNode = {
  readonly patchAnnotations: (changes: Annotations) => Promise<unknown>
  /** Resolves to whether there was one. */
  readonly removeTaint: () => Promise<boolean>
}

/** Removes all that is ours and says, for each table, that it was seen to be gone; returns the exit code. */
export async function clean(options: CleanOptions): Promise<number> {
  const lock = await waitForAgents(options)
  try {
    await cleanKernel(options.targetPid)
    await cleanHost(options)
    if (options.node !== undefined) await cleanNode(options.node)
    // Whoever waits for it sees that the file is another one, and asks for that.
    if (options.lockFile !== undefined) await removeFile(options.lockFile).catch(ignoreMount)
    return 0
  } finally {
    await lock?.release()
  }
}

async function waitForAgents({ lockFile, stop }: CleanOptions): Promise<Lock | undefined> {
  if (lockFile === undefined) return undefined
  try {
    return await acquireLock(lockFile, {
      signal: stop,
      onWait: (holder = 'it does not say who') =>
        console.error(`waiting for the agent that runs on this node to end: ${holder}`),
      holder: `clean, process ${process.pid}`,
    })
  } catch (error) {
    if (!(error instanceof LockError)) throw error
    console.error(`${error.message}; an agent that runs here would put everything back`)
    return undefined
  }
}

/** In a container the file is a mount, which only its host can remove. */
function ignoreMount(error: unknown): void {
  if (!['EBUSY', 'ENOENT', 'ENOTDIR', 'EROFS'].includes(codeOf(error) ?? '')) throw error
}

async function cleanKernel(targetPid: TargetPid): Promise<void> {
  const { plainTables: tables, ipsets, exec } = await openNetwork(targetPid, 'auto')
  for (const backend of backends) {
    for (const { family, removed } of await clearBackend(tables, backend)) {
      const before = removed ? 'removed' : 'there was nothing'
      console.log(`iptables-${backend} ${family}: ${before}; read back: nothing of node-firewall is left`)
    }
  }
  for (const family of families) {
    for (const line of describeUnmade(await unmake(tables, exec, family)))
      console.log(`iptables-nft ${family}: ${line}`)
  }
  const sets = await clearSets(ipsets)
  console.log(`kernel sets: ${sets === 0 ? 'there were none' : `${sets} removed`}; read back: none is left`)
}

function describeUnmade({ removed, kept }: Unmade): string[] {
  return [
    ...(removed.length === 0 ? [] : [`${removed.join(', ')}: made for our rules, removed`]),
    ...(kept.length === 0 ? [] : [`${kept.join(', ')}: made for our rules, stays: others use it by now`]),
  ]
}

async function cleanHost({ statusFile, stateDir, unitDir }: CleanOptions): Promise<void> {
  // First the unit: without it nothing that is left in the folder would be restored.
  if (await removeBootUnit(unitDir)) console.log(`boot unit in ${unitDir}: removed`)
  if (stateDir !== undefined) {
    const { removed, left } = await removeStateFolder(stateDir)
    for (const path of removed) console.log(`${path}: removed`)
    for (const path of left) console.log(`${path}: stays, it is none of ours or a mount`)
  }
  if (statusFile === undefined) return
  await removeFile(statusFile)
  console.log(`${statusFile}: removed`)
}

async function cleanNode({ patchAnnotations, removeTaint }: CleanNode): Promise<void> {
  await patchAnnotations(noAnnotations())
  console.log('annotations of the Node: removed')
  if (await removeTaint()) console.log('taint of the Node: removed')
}
