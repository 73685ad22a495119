import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { readOptions } from '../../scripts/e2e-parts/options.ts'
import { root } from '../manifests/kustomize.ts'

const folder = join(root, '.github', 'workflows')
const names = await readdir(folder)

const rights = z.record(z.string(), z.enum(['read', 'write', 'none']))
const step = z.strictObject({
  id: z.string().optional(),
  name: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
})
const job = z.strictObject({
  if: z.string().optional(),
  'runs-on': z.string(),
  'timeout-minutes': z.number(),
  permissions: rights.optional(),
  steps: z.array(step).min(1),
})
/** No more of GitHub's syntax than is used here, and of that all that must be there. */
const workflow = z.strictObject({
  name: z.string(),
  on: z.record(z.enum(['push', 'pull_request', 'workflow_dispatch']), z.unknown()),
  permissions: rights,
  concurrency: z.strictObject({ group: z.string(), 'cancel-in-progress': z.string() }),
  jobs: z.record(z.string(), job),
})

async function read(name: string) {
  return workflow.parse(parse(await readFile(join(folder, name), 'utf8')))
}
const stepsOf = ({ jobs }: z.infer<typeof workflow>) => Object.values(jobs).flatMap(({ steps }) => steps)
const runsOf = async (name: string) => stepsOf(await read(name)).flatMap(({ run }) => run ?? [])

describe.each(names)('the workflow %s', (name) => {
  it('reads the repository and no more, but for who publishes', async () => {
    const { permissions, jobs } = await read(name)
    expect(permissions).toEqual({ contents: 'read' })
    for (const [id, own] of Object.entries(jobs)) {
      const more = id === 'publish' ? { contents: 'read', packages: 'write' } : undefined
      expect(own.permissions).toEqual(more)
    }
  })

  it('names actions by a version or a commit, and leaves no credentials in the checkout', async () => {
    const used = stepsOf(await read(name)).filter(({ uses }) => uses !== undefined)
    const odd = used.filter(({ uses = '' }) => !/^[\w-]+\/[\w-]+@(v\d+|[0-9a-f]{40})$/.test(uses))
    expect(odd).toEqual([])
    const checkouts = used.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    expect(checkouts.map(({ with: given }) => given)).toEqual(
      checkouts.map(() => ({ 'persist-credentials': false })),
    )
  })

  it('puts nothing that others write into a shell', async () => {
    for (const run of await runsOf(name)) expect(run).not.toContain('${{')
  })
})

describe('the workflows', () => {
  it('run the check that anybody runs', async () => {
    expect(await runsOf('check.yml')).toEqual(['sudo env "PATH=$PATH" ./scripts/test'])
    expect(await readFile(join(root, '.ci', 'run'), 'utf8')).toContain('exec ./scripts/test')
  })

  it('run the end-to-end script with options that it takes, in a cluster of that name', async () => {
    const [run = ''] = await runsOf('e2e.yml')
    const [program, ...args] = run.split(' ')
    expect(program).toBe('./scripts/e2e')
    const cluster = stepsOf(await read('e2e.yml')).find(({ uses }) => uses?.includes('kind-action'))?.with
    expect(readOptions(args)).toMatchObject({ kindCluster: cluster?.['cluster_name'], build: true })
    expect(existsSync(join(root, String(cluster?.['config'])))).toBe(true)
  })

  it('publish only on a tag that is the version, for both architectures, with SBOM and provenance', async () => {
    const { publish, build } = (await read('image.yml')).jobs
    expect(publish?.if).toBe("github.ref_type == 'tag'")
    const pushed = publish?.steps.find(({ uses }) => uses?.includes('build-push-action'))?.with
    const platforms = 'linux/amd64,linux/arm64'
    expect(pushed).toMatchObject({ push: true, platforms, sbom: true, provenance: 'mode=max' })
    const built = build?.steps.find(({ uses }) => uses?.includes('build-push-action'))?.with
    expect(built).toEqual({ context: '.', platforms, push: false })
    const check = publish?.steps.find(({ run }) => run !== undefined)?.run ?? 'false'
    const statusOf = (tag: string) => isWell('sh', ['-c', check], { ...process.env, GITHUB_REF_NAME: tag })
    if (isWell('jq', ['--version'])) {
      expect(statusOf(`v${packageJson.version}`)).toBe(true)
      expect(statusOf('v9.9.9')).toBe(false)
    } else console.warn('SKIPPED: jq is not installed, so the version of a tag was not compared')
  })

  it.skipIf(!isWell('actionlint', ['-version'], process.env, 'so the syntax of workflows was not checked'))(
    'are right by actionlint',
    async () => {
      const files = names.map((name) => join(folder, name))
      expect(execFileSync('actionlint', files, { encoding: 'utf8' })).toBe('')
    },
  )
})

function isWell(program: string, args: readonly string[], env = process.env, otherwise = ''): boolean {
  try {
    execFileSync(program, args, { cwd: root, env, stdio: 'ignore' })
    return true
  } catch {
    if (otherwise !== '') console.warn(`SKIPPED: ${program} is not installed, ${otherwise}`)
    return false
  }
}
