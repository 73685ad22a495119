import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiClient } from '../cluster/api-client.ts'
import { ApiError } from '../cluster/api-error.ts'
import { readCleaning } from '../cluster/cleaning.ts'
import { letGo } from '../cluster/let-go.ts'

export type UninstallOptions = {
  /** Of the agents; it goes at the end. */
  readonly namespace: string
  /** API paths of objects outside of it that go with it. */
  readonly with: readonly string[]
  readonly client: Pick<ApiClient, 'json'>
  readonly signal: AbortSignal
  readonly pauseMs?: number
}

/**
 * Waits until the pods of the DaemonSet have cleaned every node, then lets the namespace go; returns the exit code. It
 * waits for as long as it takes: a node that is down comes back with its rules, unless its Node is deleted. What the
 * API server cannot be asked is asked again. Ended early it has changed nothing, or what it does once more when it is
 * started again.
 */
export async function uninstallWait(options: UninstallOptions): Promise<number> {
  const { namespace, client, signal, pauseMs = 5_000 } = options
  let told = ''
  const tell = (message: string) => {
    if (message !== told) console.log(message)
    told = message
  }
  while (!signal.aborted) {
    try {
      const cleaning = await readCleaning(client, namespace, signal)
      tell(cleaning.message)
      if (cleaning.isDone) {
        await letGo(client, { namespace, with: options.with, signal })
        tell(`namespace ${namespace}: is being deleted, and all that is left with it`)
        return 0
      }
    } catch (error) {
      if (signal.aborted) break
      if (!(error instanceof ApiError)) throw error
      tell(`asking again: ${error.message}`)
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {})
  }
  console.log('stopped before the end')
  return 1
}
