import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CiliumSettings, Dataplane } from '../../agent/bypass/dataplane.ts'
import { throughWhich } from '../../agent/host/bpf-programs.ts'
import { readCiliumSettings } from '../../agent/host/cilium-settings.ts'
import { createDataplaneReader } from '../../agent/host/dataplane.ts'

const options = (values: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`77/root/tmp/cilium/config-map/${name}`, value]),
  )
const header = (...defines: readonly string[]) => ({
  '1/root/run/cilium/state/globals/node_config.h': defines.map((name) => `#define ${name} 1\n`).join(''),
})

describe('the settings of Cilium', () => {
  let proc: string
  beforeEach(async () => {
    proc = await mkdtemp(join(tmpdir(), 'node-firewall-proc-'))
  })
  afterEach(async () => rm(proc, { recursive: true }))

  test.each<[string, Readonly<Record<string, string>>, CiliumSettings]>([
    [
      'from the header that its programs are compiled with',
      header('ENABLE_NODEPORT', 'ENABLE_HOST_ROUTING'),
      { replacesKubeProxy: true, routesInBpf: true },
    ],
    [
      'from a header that says neither',
      header('ENABLE_IPV4', 'ENABLE_NODEPORT_ACCELERATION'),
      { replacesKubeProxy: false, routesInBpf: false },
    ],
    ['from a header of which one part is open', header('ENABLE_NODEPORT'), { routesInBpf: false }],
    [
      'from such a header, and the options for the rest',
      { ...header('ENABLE_NODEPORT'), ...options({ 'kube-proxy-replacement': 'true' }) },
      { replacesKubeProxy: true, routesInBpf: false },
    ],
    [
      'masquerading alone is no kube-proxy replacement',
      {
        ...header('ENABLE_NODEPORT'),
        ...options({ 'kube-proxy-replacement': 'false', 'enable-bpf-masquerade': 'true' }),
      },
      { replacesKubeProxy: false, routesInBpf: false },
    ],
    [
      'from options alone',
      options({
        'kube-proxy-replacement': 'true\n',
        'enable-bpf-masquerade': 'true\n',
        'enable-host-legacy-routing': 'false',
      }),
      { replacesKubeProxy: true, routesInBpf: true },
    ],
    [
      'iptables masquerading takes the host routing with it',
      options({ 'kube-proxy-replacement': 'strict', 'enable-bpf-masquerade': 'false' }),
      { replacesKubeProxy: true, routesInBpf: false },
    ],
    [
      'no masquerading does not',
      options({
        'kube-proxy-replacement': 'true',
        'enable-ipv4-masquerade': 'false',
        'enable-ipv6-masquerade': 'false',
      }),
      { replacesKubeProxy: true, routesInBpf: true },
    ],
    [
      'legacy routing by choice',
      options({
        'kube-proxy-replacement': 'true',
        'enable-bpf-masquerade': 'true',
        'enable-host-legacy-routing': 'true',
      }),
      { replacesKubeProxy: true, routesInBpf: false },
    ],
    [
      'node ports alone',
      options({ 'kube-proxy-replacement': 'partial', 'enable-node-port': 'true' }),
      { replacesKubeProxy: true, routesInBpf: false },
    ],
    [
      'what is left to the kernel stays open',
      options({ 'kube-proxy-replacement': 'probe', 'enable-bpf-masquerade': 'true' }),
      {},
    ],
    [
      'arguments go before files',
      {
        ...options({ 'kube-proxy-replacement': 'true' }),
        '77/cmdline': 'cilium-agent\0--kube-proxy-replacement=false\0--debug\0',
      },
      { replacesKubeProxy: false, routesInBpf: false },
    ],
    [
      'from the folder that it names',
      {
        '77/cmdline': 'cilium-agent\0--config-dir=/etc/own\0',
        '77/root/etc/own/kube-proxy-replacement': 'false',
      },
      { replacesKubeProxy: false, routesInBpf: false },
    ],
    ['nothing is known without any of them', {}, {}],
  ])('%s', async (_, files, expected) => {
    const all = { '5/comm': 'kubelet\n', '77/comm': 'cilium-agent\n', ...files }
    for (const [path, text] of Object.entries(all)) {
      await mkdir(dirname(join(proc, path)), { recursive: true })
      await writeFile(join(proc, path), text)
    }
    expect(await readCiliumSettings(1, proc)).toEqual(expected)
  })
})

test.each([
  ['bond0.7', ['eth0', 'eth1', 'bond0', 'bond0.7']],
  ['eth2', ['eth2']],
  ['eth+', ['eth0', 'eth1', 'eth2']],
  ['gone', []],
])('what packets come through at %s: ports of a bond, and what a VLAN stands on', (external, expected) => {
  const link = (name: string, rest: object = {}) => ({ index: 1, name, xdp: [], ...rest })
  const links = [
    link('lo'),
    link('eth0', { master: 'bond0' }),
    link('eth1', { master: 'bond0' }),
    link('eth2'),
    link('bond0'),
    link('bond0.7', { lower: 'bond0' }),
    link('bond0.8', { lower: 'bond0' }),
  ]
  expect(throughWhich([external], links).map(({ name }) => name)).toEqual(expected)
})

test('it is read anew after a while that grows with its cost, and at once for other interfaces', async () => {
  let [now, costMs, reads] = [0, 10, 0]
  let unread: string[] = []
  const read = createDataplaneReader(
    async () => {
      reads += 1
      now += costMs
      return { unread } as unknown as Dataplane
    },
    () => now,
  )
  const readsAfter = async (ms: number, external = ['eth0']) => {
    now += ms
    await read(external)
    return reads
  }
  expect(await readsAfter(0)).toBe(1)
  expect(await readsAfter(179_999)).toBe(1)
  expect(await readsAfter(1)).toBe(2)
  expect(await readsAfter(1, ['eth1'])).toBe(3)
  costMs = 1_000
  expect(await readsAfter(180_000, ['eth1'])).toBe(4)
  expect(await readsAfter(499_999, ['eth1'])).toBe(4)
  expect(await readsAfter(1, ['eth1'])).toBe(5)
  unread = ['the nft tables of others']
  expect(await readsAfter(500_000, ['eth1'])).toBe(6)
  expect(await readsAfter(14_999, ['eth1'])).toBe(6)
  expect(await readsAfter(1, ['eth1'])).toBe(7)
})
