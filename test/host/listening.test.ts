import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readListeningPorts } from '../../agent/host/listening.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

describe('a namespace of the kernel', () => {
  let host: Host
  beforeEach(async () => {
    host = await startHost()
    await host.exec('ip', ['link', 'set', 'lo', 'up'])
  })
  afterEach(async () => host.close())

  test('nothing listens', async () => {
    expect(await readListeningPorts(host.pid)).toEqual([])
  })

  test('ports of this namespace only, and not the connections to them', async () => {
    await host.listen('tcp', 10_250)
    await host.listen('udp', 8472)
    expect(await host.probe({ protocol: 'tcp', address: '127.0.0.1', port: 10_250 })).toBe('accepted')
    const found = await readListeningPorts(host.pid)
    expect(found).toEqual([
      { protocol: 'tcp', port: 10_250, family: 'ipv6', inode: expect.any(Number) },
      { protocol: 'udp', port: 8472, family: 'ipv6', inode: expect.any(Number) },
    ])
  })

  test('the name of the process, when it is asked for', async () => {
    await host.listen('tcp', 10_250)
    const name = (await readFile(`/proc/${host.pid}/comm`, 'utf8')).trimEnd()
    const processes = async (...names: string[]) =>
      (await readListeningPorts(host.pid, { processes: names })).map(({ process }) => process)
    expect(await processes(name)).toEqual([name])
    expect(await processes('kubelet')).toEqual([undefined])
  })
})

test('a node with its processes, one of which ends meanwhile', async () => {
  const proc = await makeProc({
    'net/tcp': `${head}\n${row(0, '00000000:280A 00000000:0000 0A', 11)}\n${row(1, '00000000:0016 00000000:0000 0A', 13)}\n${row(2, '0C00580A:A702 0100580A:192B 01', 12)}\n`,
    'net/tcp6': `${head}\n`,
    'net/udp': `${head}\n`,
  })
  await makeProcess(proc, 42, 'kubelet', ['socket:[11]', '/dev/null', 'pipe:[11]'])
  await makeProcess(proc, 43, 'sshd', ['socket:[13]'])
  await mkdir(join(proc, '44'))
  expect(await readListeningPorts(1, { proc, processes: ['kubelet', 'etcd'] })).toEqual([
    { protocol: 'tcp', port: 10_250, family: 'ipv4', inode: 11, process: 'kubelet' },
    { protocol: 'tcp', port: 22, family: 'ipv4', inode: 13 },
  ])
})

test('a process that is not there is an error', async () => {
  await expect(readListeningPorts(1, { proc: '/nowhere' })).rejects.toThrow(/ENOENT.*\/nowhere\/1\/net\//)
})

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'

function row(slot: number, addresses: string, inode: number): string {
  return `   ${slot}: ${addresses} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000043656b79`
}

/** A /proc of which only what process 1 sees of the network is there. */
async function makeProc(files: Readonly<Record<string, string>>): Promise<string> {
  const proc = await mkdtemp(join(tmpdir(), 'node-firewall-proc-'))
  onTestFinished(async () => rm(proc, { recursive: true }))
  await mkdir(join(proc, '1', 'net'), { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(join(proc, '1', name), text)
  return proc
}

async function makeProcess(proc: string, pid: number, comm: string, open: readonly string[]): Promise<void> {
  const folder = join(proc, String(pid))
  await mkdir(join(folder, 'fd'), { recursive: true })
  await writeFile(join(folder, 'comm'), `${comm}\n`)
  for (const [index, target] of open.entries()) await symlink(target, join(folder, 'fd', String(index)))
}
