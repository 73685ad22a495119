import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseResolvers, readResolvers } from '../../agent/host/resolvers.ts'

const pid = 1

describe('the lines of a resolv.conf', () => {
  test.each([
    [
      'servers of both families',
      'nameserver 192.0.2.53\nnameserver\t2001:DB8::53\n',
      ['192.0.2.53', '2001:db8::53'],
    ],
    ['the same twice', 'nameserver 192.0.2.53\nnameserver 192.0.2.53', ['192.0.2.53']],
    ['a zone is no part of the address', 'nameserver fe80::1%eth0', ['fe80::1']],
    ['a remark after the address', 'nameserver 192.0.2.53 # ours', ['192.0.2.53']],
    ['comments and other words', '# nameserver 192.0.2.1\n;x\nsearch a.example\noptions ndots:5\n', []],
    [
      'names, networks and nothing',
      'nameserver a.example\nnameserver 10.0.0.0/8\nnameserver\nnameserver ',
      [],
    ],
    ['an IPv4 address in IPv6', 'nameserver ::ffff:192.0.2.1', []],
    [
      'ends of lines of another kind',
      'nameserver 192.0.2.53\r\nnameserver 192.0.2.54\r\n',
      ['192.0.2.53', '192.0.2.54'],
    ],
    ['an empty file', '', []],
  ])('%s', (_, text, expected) => {
    expect(parseResolvers(text).map(({ address }) => address)).toEqual(expected)
  })
})

describe('the resolvers of a host', () => {
  const stub = 'nameserver 127.0.0.53\noptions edns0 trust-ad\n'
  const uplinks = 'nameserver 192.0.2.53\nnameserver 2001:db8::53\n'
  const behind = ['192.0.2.53', '2001:db8::53']

  test.each<[string, Tree, readonly string[] | undefined]>([
    ['a file', { 'etc/resolv.conf': uplinks }, behind],
    [
      'the stub of systemd-resolved',
      { 'etc/resolv.conf': stub, 'run/systemd/resolve/resolv.conf': uplinks },
      behind,
    ],
    [
      'the stub by a link, and a server of its own beside it',
      {
        'etc/resolv.conf': { link: '../run/systemd/resolve/stub-resolv.conf' },
        'run/systemd/resolve/stub-resolv.conf': `${stub}nameserver 192.0.2.99\n`,
        'run/systemd/resolve/resolv.conf': uplinks,
      },
      ['192.0.2.53', '192.0.2.99', '2001:db8::53'],
    ],
    [
      'an absolute link means the root of the host, not ours',
      {
        'etc/resolv.conf': { link: '/var/run/NetworkManager/resolv.conf' },
        'var/run': { link: '/run' },
        'run/NetworkManager/resolv.conf': uplinks,
      },
      behind,
    ],
    [
      'a link that climbs too high ends at the root',
      { 'etc/resolv.conf': { link: '../../../../x' }, x: uplinks },
      behind,
    ],
    ['another resolver on the host itself', { 'etc/resolv.conf': 'nameserver 127.0.0.1\n' }, undefined],
    [
      'another resolver on the host itself, with one elsewhere',
      { 'etc/resolv.conf': `nameserver ::1\n${uplinks}` },
      undefined,
    ],
    [
      'two in another order',
      { 'etc/resolv.conf': 'nameserver 2001:db8::53\nnameserver 192.0.2.53\n' },
      behind,
    ],
    ['no server at all', { 'etc/resolv.conf': '# empty\n' }, undefined],
    ['a stub with nothing behind it', { 'etc/resolv.conf': stub }, undefined],
    ['no file', { 'etc/hosts': '' }, undefined],
    ['a link to nothing', { 'etc/resolv.conf': { link: '/run/gone' } }, undefined],
    ['a link to itself', { 'etc/resolv.conf': { link: 'resolv.conf' } }, undefined],
    ['a folder', { 'etc/resolv.conf/x': '' }, undefined],
  ])('%s', async (_, tree, expected) => {
    const found = await readResolvers(pid, await makeProc(tree))
    expect(found?.map(({ address }) => address)).toEqual(expected)
  })
})

type Tree = Readonly<Record<string, string | { readonly link: string }>>

/** A /proc in which the root directory of process 1 holds these files. */
async function makeProc(tree: Tree): Promise<string> {
  const proc = await mkdtemp(join(tmpdir(), 'node-firewall-proc-'))
  onTestFinished(async () => rm(proc, { recursive: true }))
  for (const [name, content] of Object.entries(tree)) {
    const path = join(proc, String(pid), 'root', name)
    await mkdir(dirname(path), { recursive: true })
    if (typeof content === 'string') await writeFile(path, content)
    else await symlink(content.link, path)
  }
  return proc
}
