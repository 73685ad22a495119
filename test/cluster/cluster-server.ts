import { afterAll, beforeAll } from 'vitest'
import { serve, startApiServer as startModel } from './api-server.ts'
import type { ApiServer, ApiServerOptions } from './api-server.ts'
import { binaries } from './real/binaries.ts'
import { startRealServer } from './real/backend.ts'
import type { RealServer } from './real/backend.ts'

/**
 * The API server of tests that hold for any: a kube-apiserver where KUBEBUILDER_ASSETS names one, behind a front that
 * can be silent, refuse and cut; else the model in memory, behind the same front.
 */
export async function startApiServer({ real: wanted, ...options }: Options = {}): Promise<ApiServer> {
  if (server === undefined || wanted === false) return await startModel(options)
  return await serve(server.open(), options)
}

/** `real: false`: the test needs what no real server does on demand, or two servers at once. */
export type Options = ApiServerOptions & { readonly real?: false }

let server: RealServer | undefined

// One for all tests of a file: it takes seconds to start, on a busy machine many.
beforeAll(async () => {
  if (binaries !== undefined) server = await startRealServer(binaries)
}, 180_000)
afterAll(async () => {
  await server?.stop()
})
