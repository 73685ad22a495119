import { execFile, execFileSync } from 'node:child_process'
import { cp, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { hasKubectl, kustomize, root } from './kustomize.ts'
import { only } from './manifest.ts'

const overlays = await readdir(join(root, 'manifests', 'overlays'))
const targets = [...overlays.map((name) => `manifests/overlays/${name}`), 'manifests/uninstall']

/** What people name by a URL is cloned, and must not need anything from outside of the repository. */
describe.skipIf(!hasKubectl() || !hasGit())('manifests by the URL of a repository', () => {
  let folder: string
  let repository: string

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-remote-')))
    repository = join(folder, 'repository')
    for (const part of ['manifests', 'rulesets'])
      await cp(join(root, part), join(repository, part), { recursive: true })
    const git = async (...args: string[]) => promisify(execFile)('git', ['-C', repository, ...args])
    await git('init', '--quiet')
    await git('add', '.')
    const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.org', '-c', 'commit.gpgsign=false']
    await git(...author, 'commit', '--quiet', '--message=all')
    await git('tag', 'v9')
    // What comes later has no part in the version that is named.
    await git('rm', '-r', '--quiet', 'manifests/overlays')
    await git(...author, 'commit', '--quiet', '--message=later')
  })
  afterAll(async () => rm(folder, { recursive: true }))

  const url = (path: string) => `file://${repository}//${path}?ref=v9`

  it.concurrent.each(targets)('%s is the same as from a checkout', async (target) => {
    const [remote, local] = await Promise.all([kustomize(url(target)), kustomize(target)])
    expect(remote).toEqual(local)
  })

  it('an overlay of one’s own, in another repository, takes base, components and presets by URL', async () => {
    const own = join(folder, 'own')
    await cp(join(root, 'manifests', 'overlays', 'bare-metal'), own, { recursive: true })
    const components = ['manifests/components/api-watch', 'manifests/components/boot-restore']
    const presets = ['rulesets/kubernetes-worker', 'rulesets/metadata-lockdown']
    const kustomization = {
      resources: [url('manifests/base')],
      components: [...components, ...presets].map(url),
      configMapGenerator: [
        {
          name: 'node-firewall-rules',
          namespace: 'node-firewall',
          behavior: 'merge',
          files: ['bare-metal.yaml'],
        },
      ],
    }
    await writeFile(join(own, 'kustomization.yaml'), stringify(kustomization))
    const manifests = await kustomize(own)
    const keys = Object.keys(only(manifests, 'ConfigMap').data ?? {})
    expect(keys.toSorted()).toEqual(['bare-metal.yaml', 'kubernetes-worker.yaml', 'metadata-lockdown.yaml'])
    const container = only(manifests, 'DaemonSet').spec?.template.spec?.containers[0]
    expect(container?.args).toEqual(['agent', '--boot-restore'])
    expect(container?.env?.map(({ name }) => name)).toContain('NODE_FIREWALL_CONFIGMAPS')
  })
})

function hasGit(): boolean {
  try {
    execFileSync('git', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('SKIPPED: git is not installed, so manifests were not taken by URL')
    return false
  }
}
