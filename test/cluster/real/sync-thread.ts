/*
 * The thread that makes the requests of a SyncClient.
 */
import { Agent } from 'node:https'
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { createHttp } from '../conformance/http-client.ts'
import type { CallOptions } from '../conformance/http-client.ts'

type Setting = {
  readonly url: string
  readonly caFile: string
  readonly token: string
  readonly signal: Int32Array<SharedArrayBuffer>
  readonly port: MessagePort
}
type Request = { readonly method: string; readonly path: string; readonly options: CallOptions }

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what createSyncClient hands over
const { url, caFile, token, signal, port } = workerData as Setting
const http = createHttp(url, caFile, new Agent({ keepAlive: true }))

port.on('message', (request: Request) => {
  void answer(request)
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage('ready')

async function answer({ method, path, options }: Request): Promise<void> {
  port.postMessage(await ask(method, path, { token, ...options }))
  Atomics.store(signal, 0, 1)
  Atomics.notify(signal, 0)
}

async function ask(method: string, path: string, options: CallOptions) {
  try {
    const { status, text, body } = await http.call(method, path, options)
    return { answer: { status, text, body } }
  } catch (error) {
    return { failure: String(error) }
  }
}
