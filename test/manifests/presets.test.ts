import { mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { explain } from '../../agent/cli/explain.ts'
import { findDeadRules } from '../../agent/policy/shadow.ts'
import { covers, formatCidr, parseCidr } from '../../agent/ruleset/address.ts'
import { builtInSets } from '../../agent/ruleset/built-in-sets.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { SourceFile } from '../../agent/ruleset/parse.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import { selectRulesets } from '../../agent/ruleset/select.ts'
import { hasKubectl, kustomize, root } from './kustomize.ts'
import { only } from './manifest.ts'

const folders = await readdir(join(root, 'rulesets'), { withFileTypes: true })
const presets = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name)

const text = (preset: string) => readFile(join(root, 'rulesets', preset, `${preset}.yaml`), 'utf8')

/** The keys a preset adds to the ConfigMap: its ruleset, and lists of addresses beside it. */
const keysOf = async (preset: string) =>
  (await readdir(join(root, 'rulesets', preset))).filter((name) => name !== 'kustomization.yaml')

describe('the presets', () => {
  it.each(presets)('%s is named like its file and has a line in the README', async (preset) => {
    expect(parse(await text(preset))).toMatchObject({ metadata: { name: preset } })
    expect(await readFile(join(root, 'rulesets', 'README.md'), 'utf8')).toContain(`| [\`${preset}\`]`)
  })

  it.each(flows)('agree on the default of %s, so that any of them can be combined', async (flow) => {
    const defaults = await Promise.all(
      presets.map(async (preset) => parse(await text(preset)).spec.defaults?.[flow]),
    )
    expect(new Set(defaults.filter((action) => action !== undefined))).toEqual(new Set(['reject']))
  })

  it('have the priorities that the README says', async () => {
    const readme = await readFile(join(root, 'rulesets', 'README.md'), 'utf8')
    const said = [...readme.matchAll(/^\| \[`([a-z-]+)`\]\S+ +\| [^|]+\| (\d+) /gm)]
    expect(said).toHaveLength(8)
    for (const [, preset = '', priority] of said) {
      expect(parse(await text(preset))).toMatchObject({
        metadata: { name: preset },
        spec: { priority: Number(priority) },
      })
    }
  })

  it.each(presets)('%s has no rule that another one of its own leaves nothing to match', async (preset) => {
    const names = await keysOf(preset)
    const files = await Promise.all(
      names.map(async (name): Promise<SourceFile> => {
        const bytes = await readFile(join(root, 'rulesets', preset, name))
        return { path: name, bytes, ...(name.endsWith('.yaml') ? {} : { kind: 'data' }) }
      }),
    )
    const { rulesets, problems } = parseRulesets(files)
    expect([...problems, ...findDeadRules(rulesets, Date.now())]).toEqual([])
  })

  it('flood-limits spares private ranges and nothing else', async () => {
    const { sets } = parse(await text('flood-limits')).spec
    const everything = mergeCidrs([...sets.notPrivate, ...builtInSets.private].map(parseCidr))
    expect(everything.map(formatCidr)).toEqual([...builtInSets.any])
    const own = builtInSets.private.map(parseCidr)
    const inBoth = sets.notPrivate.filter((text: string) => {
      const one = parseCidr(text)
      return own.some((other) => covers(one, other) || covers(other, one))
    })
    expect(inBoth).toEqual([])
  })
})

describe('a control plane of kind that is a worker too', () => {
  // cloud-provider-kind sends to NodePorts, and asks kube-proxy whether the node is well.
  it.each([
    ['a NodePort from a load balancer', '172.18.0.9', '30080', 0],
    ["kube-proxy's health from a load balancer", '172.18.0.9', '10256', 0],
    ["kube-proxy's health from elsewhere", '198.51.100.7', '10256', 1],
  ])('%s', async (_, from, port, expected) => {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kind-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const node = join(folder, 'node.yaml')
    const labels = { 'node-role.kubernetes.io/control-plane': '' }
    await writeFile(node, stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'kind', labels } }))
    const said = vi.spyOn(console, 'log').mockReturnValue()
    onTestFinished(() => said.mockRestore())
    const files = ['manifests/overlays/kind/kind.yaml', 'rulesets/kubernetes-control-plane']
    const paths = files.map((path) => join(root, path))
    expect(await explain(paths, { node, external: ['eth0'], from, port, expect: 'accept' })).toBe(expected)
  })
})

describe.skipIf(!hasKubectl())('choosing presets', () => {
  it('base deploys none', async () => {
    expect(await keys('manifests/base')).toEqual([])
  })

  it.each([
    ['lke', ['lke-worker.yaml']],
    ['eks', ['eks-worker.yaml']],
    ['gke', ['gke-worker.yaml']],
    ['kind', ['kind.yaml', 'kubernetes-control-plane.yaml', 'kubernetes-worker.yaml']],
    [
      'bare-metal',
      [
        'bare-metal.yaml',
        'kubernetes-control-plane.yaml',
        'kubernetes-worker.yaml',
        'nodeports-private.yaml',
      ],
    ],
  ])('the overlay %s deploys rulesets that are right and go together', async (overlay, expected) => {
    const { data = {} } = only(await kustomize(`manifests/overlays/${overlay}`), 'ConfigMap')
    expect(Object.keys(data).toSorted()).toEqual(expected)
    const files = Object.entries(data).map(([path, content]) => ({ path, bytes: Buffer.from(content) }))
    const { rulesets, problems } = parseRulesets(files)
    expect(problems).toEqual([])
    for (const labels of [{}, { 'node-role.kubernetes.io/control-plane': '' }]) {
      const selected = selectRulesets(rulesets, labels)
      expect(selected.problems).toEqual([])
      const dead = findDeadRules(selected.rulesets, Date.now()).map(({ by }) => by?.ruleset)
      // What it is for beside kubernetes-worker: its rules for NodePorts come first.
      expect(dead.filter((by) => by !== 'nodeports-private')).toEqual([])
    }
  })

  it('an overlay of one’s own takes any presets and adds files', async () => {
    const overlay = await makeOverlay('manifests/base', presets)
    const all = (await Promise.all(presets.map(keysOf))).flat()
    expect(await keys(overlay)).toEqual(['own.yaml', ...all].toSorted())
  })

  it('an overlay of one’s own stands on another one', async () => {
    const overlay = await makeOverlay('manifests/overlays/lke', ['ssh-bastion'])
    expect(await keys(overlay)).toEqual(['lke-worker.yaml', 'own.yaml', 'ssh-bastion.yaml'])
  })
})

async function keys(folder: string): Promise<string[]> {
  return Object.keys(only(await kustomize(folder), 'ConfigMap').data ?? {}).toSorted()
}

async function makeOverlay(base: string, components: readonly string[]): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-overlay-')))
  onTestFinished(() => rm(folder, { recursive: true }))
  const here = (path: string) => relative(folder, join(root, path))
  const kustomization = {
    resources: [here(base)],
    components: components.map((preset) => here(`rulesets/${preset}`)),
    configMapGenerator: [
      {
        name: 'node-firewall-rules',
        namespace: 'node-firewall',
        behavior: 'merge',
        files: ['own.yaml'],
      },
    ],
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
  await writeFile(join(folder, 'own.yaml'), 'kind: Ruleset\n')
  return folder
}
