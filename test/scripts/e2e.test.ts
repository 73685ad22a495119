import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { play } from '../../scripts/e2e-parts/phase.ts'
import type { Phase, Stage } from '../../scripts/e2e-parts/phase.ts'
import { phases } from '../../scripts/e2e-parts/phases.ts'
import { breakRules, deploy } from '../../scripts/e2e-parts/rule-phases.ts'
import { upgrade } from '../../scripts/e2e-parts/traffic-phases.ts'
import { uninstall } from '../../scripts/e2e-parts/uninstall-phase.ts'
import { root } from '../manifests/kustomize.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandboxSite } from './e2e-site.ts'

const hasNft = (await usableBackends()).includes('nft')
const isLong = process.env['E2E'] !== undefined
if (hasNft && !isLong) {
  console.warn('SKIPPED: three of the end-to-end phases, which take a while; "npm run test:long" has them')
}
// All phases change the node's status more often than its agent may tell at once.
const played: readonly Phase[] = isLong ? phases : [deploy, breakRules, upgrade, uninstall]

const preset = join(root, 'rulesets', 'kubernetes-worker', 'kubernetes-worker.yaml')
const overlay = { 'worker.yaml': await readFile(preset, 'utf8') }

describe.runIf(hasNft)('the phases of the end-to-end run, with a real agent and real packets', () => {
  let cluster: Awaited<ReturnType<typeof createSandboxSite>>
  beforeEach(async () => {
    cluster = await createSandboxSite(overlay)
  })
  afterEach(async () => cluster.close())

  test('find all as it should be, and nothing left', { timeout: 900_000 }, async () => {
    const told: string[] = []
    const stage: Stage = {
      site: cluster.site,
      tell: (line) => void told.push(line),
      signal: new AbortController().signal,
      patienceMs: 400_000,
      pauseMs: 50,
      before: new Map(),
    }
    expect({ isWell: await play(played, stage), told }).toMatchObject({ isWell: true })
    expect(told.filter((line) => line === '   ok')).toHaveLength(played.length)
    expect(told.join('\n')).toMatch(/ 0 of \d{2,} connections passed/)
    expect(told.join('\n')).not.toContain('different from before')
  })
})
