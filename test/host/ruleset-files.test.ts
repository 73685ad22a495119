import { rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readRulesetFiles } from '../../agent/host/ruleset-files.ts'
import { createMount } from '../sandbox/agent.ts'

let mount: Awaited<ReturnType<typeof createMount>>
beforeEach(async () => {
  mount = await createMount({ 'b.yaml': 'b', 'a.yml': 'a', 'README.md': 'x', '.hidden.yaml': 'x' })
})
afterEach(async () => mount.remove())

async function read() {
  const files = await readRulesetFiles(mount.folder)
  return files.map((file) => [
    file.path.replace(mount.folder, ''),
    'error' in file ? file.error : Buffer.from(file.bytes).toString(),
  ])
}

test('reads the Rulesets of a mounted ConfigMap in order of their names', async () => {
  expect(await read()).toEqual([
    ['/a.yml', 'a'],
    ['/b.yaml', 'b'],
  ])
})

test('reads the files of a plain folder', async () => {
  await rm(join(mount.folder, '..data'))
  await rm(join(mount.folder, 'b.yaml'))
  await rm(join(mount.folder, 'a.yml'))
  await writeFile(join(mount.folder, 'c.yaml'), 'c')
  expect(await read()).toEqual([['/c.yaml', 'c']])
})

test('never mixes the files of two versions, however often they are swapped', async () => {
  const write = async (version: number) => {
    const names = ['a.yaml', 'b.yaml', 'c.yaml'].slice(0, 1 + (version % 3))
    await mount.write(
      Object.fromEntries(names.map((name) => [name, `version ${version}, ${names.length} files`])),
    )
  }
  await write(0)
  const reading = new AbortController()
  const swapping = (async () => {
    for (let version = 1; !reading.signal.aborted; version += 1) await write(version)
  })()
  const mixed: unknown[] = []
  for (let times = 0; times < 300; times += 1) {
    const found = await read()
    const texts = new Set(found.map(([, text]) => text))
    if (texts.size !== 1 || !found[0]?.[1]?.endsWith(`, ${found.length} files`)) mixed.push(found)
  }
  reading.abort()
  await swapping
  expect(mixed).toEqual([])
})

test('a link that leads nowhere, or in circles, is an error of that file alone', async () => {
  const data = join(mount.folder, '..data')
  await symlink('nowhere', join(data, 'c.yaml'))
  await symlink('d.yaml', join(data, 'e.yaml'))
  await rename(join(data, 'e.yaml'), join(data, 'd.yaml'))
  expect(await read()).toEqual([
    ['/a.yml', 'a'],
    ['/b.yaml', 'b'],
    ['/c.yaml', 'the file cannot be read: it does not exist'],
    ['/d.yaml', 'the file cannot be read: its symbolic links form a loop'],
  ])
})
