import { removeFile } from '../host/status-file.ts'
import { backends } from '../netfilter/backend.ts'
import { clearBackend, clearSets } from '../netfilter/clear.ts'
import type { Annotations } from '../status/annotations.ts'
import { noAnnotations } from '../status/annotations.ts'
import { openNetwork } from './node.ts'

export type CleanOptions = {
  readonly targetPid: number
  readonly statusFile: string | undefined
  /** Patches the Node of this machine, where there is one. */
  readonly patch: ((changes: Annotations) => Promise<unknown>) | undefined
}

/** Removes all that is ours and says, for each table, that it was seen to be gone; returns the exit code. */
export async function clean({ targetPid, statusFile, patch }: CleanOptions): Promise<number> {
  const { tables, ipsets } = await openNetwork(targetPid, 'auto')
  for (const backend of backends) {
    for (const { family, removed } of await clearBackend(tables, backend)) {
      const before = removed ? 'removed' : 'there was nothing'
      console.log(`iptables-${backend} ${family}: ${before}; read back: nothing of node-firewall is left`)
    }
  }
  const sets = await clearSets(ipsets)
  console.log(`kernel sets: ${sets === 0 ? 'there were none' : `${sets} removed`}; read back: none is left`)
  if (statusFile !== undefined) {
    await removeFile(statusFile)
    console.log(`${statusFile}: removed`)
  }
  if (patch !== undefined) {
    await patch(noAnnotations())
    console.log('annotations of the Node: removed')
  }
  return 0
}
