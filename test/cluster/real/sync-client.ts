import { once } from 'node:events'
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads'
import type { Answer, CallOptions } from '../conformance/http-client.ts'

/**
 * Requests that are answered before the next line of a test runs, as changes of the model in memory are. A thread of its
 * own makes them.
 */
export type SyncClient = {
  call(method: string, path: string, options?: CallOptions): SyncAnswer
  close(): Promise<void>
}

export type SyncAnswer = Omit<Answer, 'headers'>

export async function createSyncClient(url: string, caFile: string, token: string): Promise<SyncClient> {
  const { port1: here, port2: there } = new MessageChannel()
  const signal = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL('sync-thread.ts', import.meta.url), {
    workerData: { url, caFile, token, signal, port: there },
    transferList: [there],
  })
  await once(worker, 'message')
  worker.unref()
  return {
    call(method, path, options = {}) {
      Atomics.store(signal, 0, 0)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      here.postMessage({ method, path, options })
      Atomics.wait(signal, 0, 0, 30_000)
      const received: { message: { answer?: SyncAnswer; failure?: string } } | undefined =
        receiveMessageOnPort(here)
      const { answer, failure = 'no answer in 30 s' } = received?.message ?? {}
      if (answer === undefined) throw new Error(`${method} ${path}: ${failure}`)
      return answer
    },
    async close() {
      here.close()
      await worker.terminate()
    },
  }
}

/** Makes an object, and tells the text of the answer; fails unless the server says 201. */
export function createObject(client: SyncClient, path: string, body: unknown, token?: string): string {
  const asked = token === undefined ? {} : { token }
  const { status, text } = client.call('POST', path, { body, contentType: 'application/json', ...asked })
  if (status !== 201) throw new Error(`POST ${path}: ${text}`)
  return text
}

/** Waits in the middle of what is not async. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
