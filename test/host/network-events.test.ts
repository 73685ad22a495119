import { expect, test } from 'vitest'
import { createNetworkReader } from '../../agent/host/network-events.ts'

const address =
  '3: eth0    inet 10.0.0.2/24 scope global eth0\\       valid_lft forever preferred_lft forever'
const renewed = (seconds: number) => [
  `default via fe80::1 dev eth0 proto ra metric 1024 expires ${seconds}sec hoplimit 64 pref medium`,
  `2: eth0    inet6 2001:db8::2/64 scope global dynamic \\       valid_lft ${seconds}sec preferred_lft ${seconds}sec`,
]

test.each([
  ['an address', [address], [true]],
  ['an address that goes and comes', [address, `Deleted ${address}`, address], [true, true, true]],
  ['a default route', ['default via 10.0.0.1 dev eth0 '], [true]],
  ['a default route of another table', ['default via 10.0.0.1 dev eth1 table 10001 '], [true]],
  ['a default route that is gone', ['Deleted default via 10.0.0.1 dev eth0 '], [true]],
  ['what a router says again and again', [...renewed(1800), ...renewed(1799)], [true, true, false, false]],
  ['the route to a pod', ['10.244.1.10 dev cali1234 scope link '], [false]],
  [
    'a link-local address',
    ['5: cali1    inet6 fe80::ecee:eeff:feee:eeee/64 scope link \\  valid_lft forever'],
    [false],
  ],
  [
    'an entry of the local table',
    ['local 10.0.0.2 dev eth0 table local proto kernel scope host src 10.0.0.2 '],
    [false],
  ],
  ['nothing', [''], [false]],
])('%s', (_, lines, expected) => {
  const changesFacts = createNetworkReader()
  expect(lines.map(changesFacts)).toEqual(expected)
})
