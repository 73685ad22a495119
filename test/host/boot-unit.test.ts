import { execFile, execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { saveBootRestore } from '../../agent/host/boot-restore.ts'
import {
  bootUnit,
  bootUnitText,
  installBootUnit,
  isStartedBySystemd,
  removeBootUnit,
} from '../../agent/host/boot-unit.ts'
import type { BootState } from '../../agent/netfilter/boot-text.ts'

const link = join('sysinit.target.wants', bootUnit)
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-units-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
})

describe('the unit for the start of the machine', () => {
  test('is put among the units and enabled', async () => {
    expect(await installBootUnit(folder, '/var/lib/node-firewall')).toBe(true)
    expect(await readFile(join(folder, bootUnit), 'utf8')).toBe(bootUnitText('/var/lib/node-firewall'))
    // Read through the link, as systemd does.
    expect(await readFile(join(folder, link), 'utf8')).toContain('ExecStart=/bin/sh /var/lib/node-firewall/')
  })

  test('is not written again when it is there', async () => {
    await installBootUnit(folder, '/var/lib/node-firewall')
    const before = await stat(join(folder, bootUnit))
    await writeFile(join(folder, `${bootUnit}.0123abcd.tmp`), 'half')
    expect(await installBootUnit(folder, '/var/lib/node-firewall')).toBe(false)
    expect((await readdir(folder)).toSorted()).toEqual([bootUnit, 'sysinit.target.wants'])
    expect((await stat(join(folder, bootUnit))).ino).toBe(before.ino)
  })

  test.each<[string, () => Promise<unknown>]>([
    ['an older text', async () => writeFile(join(folder, bootUnit), '[Unit]\n')],
    ['a link to somewhere else', async () => relink('/dev/null')],
    ['no link', async () => rm(join(folder, link))],
    ['a file in place of the link', async () => replaceLink()],
  ])('is made good where there is %s', async (_name, spoil) => {
    await installBootUnit(folder, '/srv/state')
    await spoil()
    expect(await installBootUnit(folder, '/srv/state')).toBe(true)
    expect(await readFile(join(folder, bootUnit), 'utf8')).toBe(bootUnitText('/srv/state'))
    expect(await readlink(join(folder, link))).toBe(`../${bootUnit}`)
  })

  test('goes without a trace, and leaves the units of others', async () => {
    await mkdir(join(folder, 'sysinit.target.wants'))
    await writeFile(join(folder, 'sysinit.target.wants', 'other.service'), '')
    await installBootUnit(folder, '/var/lib/node-firewall')
    expect(await removeBootUnit(folder)).toBe(true)
    expect(await removeBootUnit(folder)).toBe(false)
    expect(await readdir(folder)).toEqual(['sysinit.target.wants'])
    expect(await readdir(join(folder, 'sysinit.target.wants'))).toEqual(['other.service'])
  })

  test('there is none to remove where there is no systemd', async () => {
    expect(await removeBootUnit(join(folder, 'none'))).toBe(false)
  })

  test('whether systemd will run it is told by a folder in the file system of the host', async () => {
    const root = join(folder, '77', 'root')
    await mkdir(join(root, 'run'), { recursive: true })
    expect(await isStartedBySystemd(77, folder)).toBe(false)
    await mkdir(join(root, 'run', 'systemd', 'system'), { recursive: true })
    expect(await isStartedBySystemd(77, folder)).toBe(true)
    expect(await isStartedBySystemd(78, folder)).toBe(false)
  })

  test.runIf(hasSystemd())('is what systemd takes for a unit, without a complaint', async () => {
    const state = join(folder, 'state')
    await saveBootRestore(state, { backend: 'nft', desired: {} })
    await installBootUnit(folder, state)
    const { stdout, stderr } = await promisify(execFile)('systemd-analyze', [
      'verify',
      join(folder, bootUnit),
    ])
    const ours = (stdout + stderr).split('\n').filter((line) => line.includes('node-firewall'))
    expect(ours).toEqual([])
  })

  async function relink(target: string): Promise<void> {
    await rm(join(folder, link))
    await symlink(target, join(folder, link))
  }

  async function replaceLink(): Promise<void> {
    await rm(join(folder, link))
    await writeFile(join(folder, link), '')
  }
})

describe('what is kept for the start of the machine', () => {
  const state: BootState = { backend: 'legacy', desired: {} }

  test('is replaced as a whole, and nothing else is left beside it', async () => {
    await saveBootRestore(folder, state)
    // Of one who was killed.
    await writeFile(join(folder, 'boot-restore.0123abcd.tmp'), 'half')
    await saveBootRestore(folder, state)
    expect(await readdir(folder)).toEqual(['boot-restore', 'boot-restore.sh'])
    const [head, ...rest] = (await readFile(join(folder, 'boot-restore'), 'utf8')).split('\n')
    expect(rest).toEqual(['#backend legacy', '#end', ''])
    expect(JSON.parse(head ?? '')).toMatchObject({ version: 1, bytes: rest.join('\n').length })
  })

  test('is for root alone', async () => {
    await saveBootRestore(join(folder, 'new'), state)
    for (const name of ['', 'boot-restore', 'boot-restore.sh'])
      expect((await stat(join(folder, 'new', name))).mode & 0o077).toBe(0)
  })

  test('is what it was before when it cannot be written', async () => {
    await saveBootRestore(folder, state)
    const before = await readFile(join(folder, 'boot-restore'), 'utf8')
    await rm(join(folder, 'boot-restore.sh'))
    await mkdir(join(folder, 'boot-restore.sh'))
    await expect(saveBootRestore(folder, { backend: 'nft', desired: {} })).rejects.toThrow('EISDIR')
    expect(await readFile(join(folder, 'boot-restore'), 'utf8')).toBe(before)
  })

  test('is gone when nothing is to be in force', async () => {
    await saveBootRestore(folder, state)
    await saveBootRestore(folder, undefined)
    await saveBootRestore(folder, undefined)
    expect(await readdir(folder)).toEqual(['boot-restore.sh'])
  })
})

function hasSystemd(): boolean {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn(
      'SKIPPED: systemd-analyze is not installed, so the text of the unit was not checked by systemd',
    )
    return false
  }
}
