import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { largestFile } from '../../agent/ruleset/text.ts'
import { readImage } from '../../scripts/bench/image.ts'
import { bundle } from '../../scripts/bundle.ts'

/*
 * The image holds the bundle and nothing of node_modules. Built outside the checkout, the bundle finds no package
 * to fall back on either.
 */
describe('the bundle', () => {
  let folder: string
  let outfile: string
  let bytes: number

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-bundle-'))
    outfile = join(folder, 'node-firewall.js')
    bytes = await bundle(outfile)
  })

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const run = (...args: string[]) => execa('node', [outfile, ...args], { cwd: folder })

  it('says the version of package.json', async () => {
    const { stdout, stderr } = await run('version')
    expect(stdout).toContain(packageJson.version)
    expect(stderr).toBe('')
  })

  it('lists the subcommands', async () => {
    const { stdout } = await run('help')
    expect(stdout).toContain('agent')
    expect(stdout).toContain('verify')
  })

  it('reads the largest ruleset there can be with the memory the image gives it', async () => {
    const head =
      'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: large }\nspec:\n  rules:\n'
    const rules = Array.from(
      { length: 15_000 },
      (_, index) => `  - name: rule ${index}\n    action: accept\n    protocol: tcp\n`,
    )
    const text = head + rules.join('')
    const file = join(folder, 'large.yaml')
    await writeFile(file, text.slice(0, text.lastIndexOf('  - name', largestFile)))
    const { env, nodeFlags } = await readImage()
    const { stdout } = await execa('node', [...nodeFlags, outfile, 'lint', file], { cwd: folder, env })
    expect(stdout).toContain('warning: nothing is closed')
  })

  it('loads nothing large of Node.js that it has no use for', async () => {
    const list = join(folder, 'list.cjs')
    await writeFile(list, "process.on('exit', () => console.log(process.moduleLoadList.join('\\n')))")
    const { stdout } = await execa('node', ['--require', list, outfile, 'version'], { cwd: folder })
    const loaded = stdout.split('\n')
    expect(loaded).toContain('NativeModule https')
    for (const large of ['internal/deps/undici/undici', 'http2']) {
      expect(loaded).not.toContain(`NativeModule ${large}`)
    }
  })

  it('is an ES module that Node.js need not guess', async () => {
    expect(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))).toEqual({ type: 'module' })
  })

  it('stays small enough to load at once', () => {
    expect(bytes).toBeLessThan(5e6)
  })
})
