import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import type { Manifest } from './manifest.ts'

export const root = join(import.meta.dirname, '..', '..')

/** What `kubectl apply -k` would send for a folder. */
export async function kustomize(folder: string): Promise<Manifest[]> {
  const { stdout } = await promisify(execFile)('kubectl', ['kustomize', folder], { cwd: root })
  return parseAllDocuments(stdout).map((document) => {
    const [error] = document.errors
    if (error) throw error
    const manifest: Manifest = document.toJS()
    return manifest
  })
}

/** Whether kubectl is here. Where it is not, these tests check nothing, and that must be seen. */
export function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('SKIPPED: kubectl is not installed, so no manifest was rendered or checked')
    return false
  }
}
