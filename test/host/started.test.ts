import { expect, test } from 'vitest'
import { createStarted } from '../../agent/host/started.ts'

test('who has started a process is told by its number where numbers can be compared', () => {
  const started = createStarted(true, () => 0)
  for (let pid = 1; pid <= 65; pid += 1) started.add(pid, 'iptables-nft-restore')
  expect([1, 2, 65, 66].map((pid) => started.authorOf(pid, 'iptables-nft-re'))).toEqual([
    'somebody else',
    'this program',
    'this program',
    'somebody else',
  ])
})

test('elsewhere by the name of the program, which others may use too, for a while', () => {
  let now = 0
  const started = createStarted(false, () => now)
  started.add(7, 'iptables-nft-restore')
  expect(started.authorOf(7, 'iptables-nft')).toBe('somebody else')
  now = 10_000
  expect(started.authorOf(4242, 'iptables-nft-re')).toBe('perhaps this program')
  now = 10_001
  expect(started.authorOf(4242, 'iptables-nft-re')).toBe('somebody else')
})
