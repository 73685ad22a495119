import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findClusterDns } from '../../agent/daemon/find-cluster-dns.ts'
import { findKubelet, readKubeletSettings } from '../../agent/host/kubelet.ts'

describe('the kubelet of a network', () => {
  test('is told by the name of its process, and by the network that it is in', async () => {
    const proc = await makeProc()
    await addProcess(proc, 1, 'systemd', { network: 'host' })
    await addProcess(proc, 50, 'kubelet', { network: 'of a node in a container', args: ['--v=1'] })
    await addProcess(proc, 60, 'kubelet', { network: 'host', args: ['--config=/a', '--v', '2'] })
    await addProcess(proc, 70, 'kubelet-helper', { network: 'host' })
    // It has ended meanwhile.
    await mkdir(join(proc, '80'))
    expect(await findKubelet(1, proc)).toEqual({ pid: 60, args: ['--config=/a', '--v', '2'] })
  })

  test('is nowhere', async () => {
    const proc = await makeProc()
    await addProcess(proc, 1, 'systemd', { network: 'host' })
    expect(await findKubelet(1, proc)).toBeUndefined()
  })
})

const kubeconfig = (server: string, current = 'here') => `
apiVersion: v1
kind: Config
current-context: ${current}
contexts:
- { name: here, context: { cluster: own, user: node } }
clusters:
- { name: other, cluster: { server: 'https://192.0.2.99:443' } }
- { name: own, cluster: { certificate-authority-data: AAAA, server: '${server}' } }
users:
- { name: node, user: { client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem } }
`

describe('what its files say of the API server', () => {
  test.each<[string, readonly string[], Tree, string | undefined]>([
    [
      'a flag with "="',
      ['--kubeconfig=/etc/k.conf'],
      { 'etc/k.conf': kubeconfig('https://api.test:6443') },
      'https://api.test:6443/',
    ],
    [
      'a flag and its value',
      ['--v=2', '--kubeconfig', '/etc/k.conf'],
      { 'etc/k.conf': kubeconfig('https://192.0.2.6') },
      'https://192.0.2.6/',
    ],
    [
      'the flag twice',
      ['--kubeconfig=/a', '--kubeconfig=/b'],
      { a: kubeconfig('https://a.test'), b: kubeconfig('https://b.test') },
      'https://b.test/',
    ],
    [
      'a link, in its own file system',
      ['--kubeconfig=/etc/k.conf'],
      { 'etc/k.conf': { link: '/var/k' }, 'var/k': kubeconfig('https://[2001:db8::6]:6443') },
      'https://[2001:db8::6]:6443/',
    ],
    [
      'JSON',
      ['--kubeconfig=/k'],
      { k: JSON.stringify({ clusters: [{ name: 'a', cluster: { server: 'https://api.test' } }] }) },
      'https://api.test/',
    ],
    [
      'no context that is there',
      ['--kubeconfig=/k'],
      { k: kubeconfig('https://own.test', 'elsewhere') },
      'https://192.0.2.99/',
    ],
    [
      'no flag: it serves no cluster',
      ['--v=2'],
      { 'etc/kubernetes/kubelet.conf': kubeconfig('https://a.test') },
      undefined,
    ],
    ['no such file', ['--kubeconfig=/k'], {}, undefined],
    ['a folder', ['--kubeconfig=/k'], { 'k/x': '' }, undefined],
    ['a file of another kind', ['--kubeconfig=/k'], { k: 'clusters: 7' }, undefined],
    ['no YAML', ['--kubeconfig=/k'], { k: 'a: [' }, undefined],
    ['no URL', ['--kubeconfig=/k'], { k: kubeconfig('nowhere') }, undefined],
    [
      'a path from the folder it was started in',
      ['--kubeconfig=k'],
      { k: kubeconfig('https://a.test') },
      undefined,
    ],
    ['a flag without a value', ['--kubeconfig'], {}, undefined],
  ])('%s', async (_, args, tree, expected) => {
    const proc = await makeProc()
    await addProcess(proc, 60, 'kubelet', { tree })
    expect((await readKubeletSettings({ pid: 60, args }, proc)).server?.href).toBe(expected)
  })
})

const config = (addresses: readonly string[]) =>
  `kind: KubeletConfiguration\nclusterDNS: ${JSON.stringify(addresses)}\n`

describe('what its files say of the cluster DNS', () => {
  test.each<[string, readonly string[], Tree, readonly string[]]>([
    [
      'a configuration',
      ['--config=/var/lib/kubelet/config.yaml'],
      { 'var/lib/kubelet/config.yaml': config(['10.96.0.10', 'fd00:96::a']) },
      ['10.96.0.10', 'fd00:96::a'],
    ],
    ['the cache on the node', ['--config=/c'], { c: config(['169.254.20.10']) }, ['169.254.20.10']],
    [
      'a flag counts before a file',
      ['--config=/c', '--cluster-dns=10.0.0.1,10.0.0.2'],
      { c: config(['10.96.0.10']) },
      ['10.0.0.1', '10.0.0.2'],
    ],
    [
      'the last of the files that are laid over it',
      ['--config=/c', '--config-dir=/d'],
      {
        c: config(['10.96.0.10']),
        'd/10.conf': config(['10.0.0.1']),
        'd/20.conf': config(['10.0.0.2']),
        'd/30.conf': 'kind: KubeletConfiguration',
        'd/40.bak': config(['10.0.0.4']),
      },
      ['10.0.0.2'],
    ],
    [
      'what is no address is left out',
      ['--config=/c'],
      { c: config(['dns.test', '10.96.0.10']) },
      ['10.96.0.10'],
    ],
    ['a configuration without it', ['--config=/c'], { c: 'kind: KubeletConfiguration' }, []],
    ['nothing is told', [], {}, []],
  ])('%s', async (_, args, tree, expected) => {
    const proc = await makeProc()
    await addProcess(proc, 60, 'kubelet', { tree })
    expect((await readKubeletSettings({ pid: 60, args }, proc)).clusterDns).toEqual(expected)
  })
})

describe('the cluster DNS', () => {
  const ask = async () => ['10.96.0.10']
  const minute = 60_000

  test('is what the kubelet tells of, and else what the API server says', async () => {
    const proc = await makeProc()
    let now = 0
    await addProcess(proc, 1, 'systemd', {})
    const find = findClusterDns(1, ask, { proc, now: () => now })
    expect(await find()).toEqual(['10.96.0.10'])
    await addProcess(proc, 60, 'kubelet', { args: ['--v=2'] })
    now += minute
    expect(await find()).toEqual(['10.96.0.10'])
    await addProcess(proc, 50, 'kubelet', { args: ['--config=/c'], tree: { c: config(['169.254.20.10']) } })
    now += minute
    expect(await find()).toEqual(['169.254.20.10'])
    await rm(join(proc, '50'), { recursive: true })
    await addProcess(proc, 70, 'kubelet', { args: ['--config=/c'], tree: { c: config(['169.254.20.11']) } })
    await rm(join(proc, '60'), { recursive: true })
    expect(await find()).toEqual(['169.254.20.11'])
  })

  test('is read anew for a kubelet that has the number of the one before it, and not for the same one', async () => {
    const proc = await makeProc()
    const tell = async (address: string, startedAt: number) =>
      addProcess(proc, 60, 'kubelet', { args: ['--config=/c'], tree: { c: config([address]) }, startedAt })
    const find = findClusterDns(1, ask, { proc, now: () => 0 })
    await addProcess(proc, 1, 'systemd', {})
    await tell('10.0.0.1', 5)
    expect(await find()).toEqual(['10.0.0.1'])
    await rm(join(proc, '60'), { recursive: true })
    await tell('10.0.0.2', 5)
    expect(await find()).toEqual(['10.0.0.1'])
    await rm(join(proc, '60'), { recursive: true })
    await tell('10.0.0.3', 6)
    expect(await find()).toEqual(['10.0.0.3'])
  })

  test('is not looked for among all processes with each edit', async () => {
    const proc = await makeProc()
    let now = 0
    await addProcess(proc, 1, 'systemd', {})
    const find = findClusterDns(1, ask, { proc, now: () => now })
    expect(await find()).toEqual(['10.96.0.10'])
    await addProcess(proc, 50, 'kubelet', { args: ['--config=/c'], tree: { c: config(['169.254.20.10']) } })
    now = minute - 1
    expect(await find()).toEqual(['10.96.0.10'])
    now = minute
    expect(await find()).toEqual(['169.254.20.10'])
  })
})

type Tree = Readonly<Record<string, string | { readonly link: string }>>

async function makeProc(): Promise<string> {
  const proc = await mkdtemp(join(tmpdir(), 'node-firewall-proc-'))
  onTestFinished(async () => rm(proc, { recursive: true }))
  return proc
}

type Process = {
  readonly network?: string
  readonly args?: readonly string[]
  readonly tree?: Tree
  readonly startedAt?: number
}

async function addProcess(
  proc: string,
  pid: number,
  comm: string,
  { network = 'host', args = [], tree = {}, startedAt }: Process,
) {
  const folder = join(proc, String(pid))
  await mkdir(join(folder, 'ns'), { recursive: true })
  await symlink(`net:[${network}]`, join(folder, 'ns', 'net'))
  await writeFile(join(folder, 'comm'), `${comm}\n`)
  // See proc_pid_stat(5).
  const fields = ['S', 1, ...Array.from({ length: 17 }, () => 0), startedAt, 0]
  if (startedAt !== undefined)
    await writeFile(join(folder, 'stat'), `${pid} (${comm} :) ) ${fields.join(' ')}\n`)
  await writeFile(join(folder, 'cmdline'), [`/usr/bin/${comm}`, ...args].join('\0'))
  for (const [name, content] of Object.entries(tree)) {
    const path = join(folder, 'root', name)
    await mkdir(dirname(path), { recursive: true })
    if (typeof content === 'string') await writeFile(path, content)
    else await symlink(content.link, path)
  }
}
