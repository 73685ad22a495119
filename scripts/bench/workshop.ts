import { createSandbox } from '../../test/sandbox/sandbox.ts'
import type { Sandbox } from '../../test/sandbox/sandbox.ts'

/** What every part of the benchmark is given. */
export type Workshop = {
  /** For files; gone at the end. */
  readonly folder: string
  /** The bundled agent. */
  readonly program: string
}

/** Runs with a sandbox of its own, so that nothing is left of what was measured before. */
export async function withSandbox<T>(use: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  const sandbox = await createSandbox()
  try {
    return await use(sandbox)
  } finally {
    await sandbox.close()
  }
}
