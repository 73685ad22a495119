import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { play } from '../../scripts/e2e-parts/phase.ts'
import type { Phase, Stage } from '../../scripts/e2e-parts/phase.ts'
import { phases } from '../../scripts/e2e-parts/phases.ts'
import { breakRules, deploy, edit, rollBack } from '../../scripts/e2e-parts/rule-phases.ts'
import { nodePorts, upgrade } from '../../scripts/e2e-parts/traffic-phases.ts'
import { uninstall } from '../../scripts/e2e-parts/uninstall-phase.ts'
import { root } from '../manifests/kustomize.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandboxSite } from './e2e-site.ts'

const hasNft = (await usableBackends()).includes('nft')
const preset = 'kubernetes-worker'
const overlay = {
  'worker.yaml': await readFile(join(root, 'rulesets', preset, `${preset}.yaml`), 'utf8'),
}

describe.runIf(hasNft)('the phases of the end-to-end run, with a real agent and real packets', () => {
  let cluster: Awaited<ReturnType<typeof createSandboxSite>>
  let told: string[]
  let stage: Stage

  beforeEach(async () => {
    cluster = await createSandboxSite(overlay)
    told = []
    stage = {
      site: cluster.site,
      tell: (line) => void told.push(line),
      signal: new AbortController().signal,
      patienceMs: 30_000,
      pauseMs: 50,
      before: new Map(),
    }
  })
  afterEach(async () => cluster.close())

  const failed = () => told.filter((line) => line.includes('FAILED')).join()

  test('find all as it should be, and nothing left', async () => {
    expect({ isWell: await play(phases, stage), failed: failed() }).toEqual({ isWell: true, failed: '' })
    expect(told.filter((line) => line === '   ok')).toHaveLength(phases.length)
    expect(told.join('\n')).toMatch(/ 0 of \d{2,} connections passed/)
    expect(told.join('\n')).not.toContain('different from before')
  })
})
