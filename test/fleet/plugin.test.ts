import { existsSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { expect, onTestFinished, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { annotationsOf } from './fleet.ts'
import { startCluster } from './fleet-fixture.ts'

const folders = (process.env['PATH'] ?? '').split(delimiter)
const hasKubectl = folders.some((folder) => existsSync(join(folder, 'kubectl')))
if (!hasKubectl) console.warn('SKIPPED: as a plugin of kubectl: there is no kubectl')

/** The programs of the package in a folder of the PATH, as npm links them. */
async function install(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-bin-'))
  onTestFinished(async () => rm(folder, { recursive: true, force: true }))
  const root = join(import.meta.dirname, '..', '..')
  for (const [name, target] of Object.entries(packageJson.bin)) {
    await symlink(join(root, target), join(folder, name))
  }
  return folder
}

test.runIf(hasKubectl)('kubectl finds the program as its plugin, and hands on its exit code', async () => {
  const server = await startCluster({ a: annotationsOf({ verifiedAt: new Date().toISOString() }) })
  const env = { PATH: [await install(), ...folders].join(delimiter), KUBECONFIG: server.kubeconfigFile }
  const run = async (...args: string[]) =>
    execa('kubectl', ['node-firewall', ...args], { env, reject: false })
  const fine = await run('status')
  expect([fine.exitCode, fine.stdout]).toEqual([0, expect.stringMatching(/^a +Enforcing /m)])
  server.changeNode('a', { annotations: { 'node-firewall.io/state': 'Invalid' } })
  expect((await run('status')).exitCode).toBe(3)
})
