import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLegacyTables } from '../../agent/host/network.ts'
import { detectBackend } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

const usable = await usableBackends()

describe('detection of the backend', () => {
  let host: Host
  beforeEach(async () => {
    host = await startHost()
  })
  afterEach(async () => host.close())

  const detect = async (current?: Backend) => detectBackend(host.exec, createLegacyTables(host.pid), current)
  const hint = async (program: string) => host.exec(program, ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])

  test('a node where nobody uses either: nft, and looking changes nothing', async () => {
    expect(await detect()).toBe('nft')
    expect((await host.exec('nft', ['list', 'tables'])).stdout).toBe('')
    expect(await createLegacyTables(host.pid)('ipv4')).toEqual([])
  })

  test('without a hint, what is in use stays', async () => {
    expect(await detect('legacy')).toBe('legacy')
  })

  test.each(usable.flatMap((backend) => [`iptables-${backend}`, `ip6tables-${backend}`]))(
    'a hint in %s',
    async (program) => {
      await hint(program)
      expect(await detect()).toBe(program.endsWith('legacy') ? 'legacy' : 'nft')
    },
  )

  test('the older hint of the kubelet', async () => {
    await host.exec('iptables-nft', ['-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY'])
    expect(await detect('legacy')).toBe('nft')
  })

  if (usable.includes('legacy')) {
    test('hints in both: nft', async () => {
      await hint('iptables-legacy')
      await hint('ip6tables-nft')
      expect(await detect('legacy')).toBe('nft')
    })

    test('without hints, the one with more rules', async () => {
      await host.exec('iptables-legacy', ['-A', 'INPUT', '-j', 'ACCEPT'])
      expect(await detect()).toBe('legacy')
      for (const port of ['1', '2'])
        await host.exec('iptables-nft', ['-A', 'INPUT', '-p', 'tcp', '--dport', port])
      expect(await detect()).toBe('nft')
    })
  }
})
