import { afterAll } from 'vitest'
import { serve, startApiServer as startModel } from './api-server.ts'
import type { ApiServer, ApiServerOptions } from './api-server.ts'
import { startRealServer } from './real/backend.ts'
import type { RealServer } from './real/backend.ts'

/** The folder of `etcd` and `kube-apiserver`, as controller-runtime's envtest names it. */
export const binaries = process.env['KUBEBUILDER_ASSETS']

/**
 * The API server of tests that hold for any: a kube-apiserver where KUBEBUILDER_ASSETS names one, behind a front that
 * can be silent, refuse and cut; else the model in memory, behind the same front.
 */
export async function startApiServer({ real: wanted, ...options }: Options = {}): Promise<ApiServer> {
  if (binaries === undefined || wanted === false) return await startModel(options)
  real ??= startRealServer(binaries)
  return await serve((await real).open(), options)
}

/** `real: false`: the test needs what no real server does on demand, or two servers at once. */
export type Options = ApiServerOptions & { readonly real?: false }

let real: Promise<RealServer> | undefined

// One for all tests of a file: it takes seconds to start.
afterAll(async () => {
  await (await real)?.stop()
})
