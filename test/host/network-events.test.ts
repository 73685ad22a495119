import { expect, test } from 'vitest'
import { createNetworkReader } from '../../agent/host/network-events.ts'

const address =
  '3: eth0    inet 10.0.0.2/24 scope global eth0\\       valid_lft forever preferred_lft forever'
const up = 'BROADCAST,MULTICAST,UP,LOWER_UP'
const device = (name: string, flags: string, mtu = 1500) =>
  `3: ${name}: <${flags}> mtu ${mtu} qdisc noqueue state UNKNOWN group default \\    link/ether 2e:9c:21:1b:ca:39`
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
  [
    'a device that comes, is switched on, and only changes its size',
    [device('flannel.1', 'BROADCAST,MULTICAST'), device('flannel.1', up), device('flannel.1', up, 1400)],
    [true, true, false],
  ],
  [
    'a device that goes and comes',
    [device('flannel.1', up), `Deleted ${device('flannel.1', up)}`, device('flannel.1', up)],
    [true, true, true],
  ],
  [
    'a tunnel that names no other end',
    ['4: tunl0@NONE: <NOARP,UP,LOWER_UP> mtu 1480 qdisc noqueue state UNKNOWN \\    link/ipip 0.0.0.0'],
    [true],
  ],
  [
    'the cable of a pod',
    [device('cali12345@if3', up), device('xx@NONE', up), `Deleted ${device('cali12345@xx', up)}`],
    [false, false, false],
  ],
  ['nothing', [''], [false]],
])('%s', (_, lines, expected) => {
  const changesFacts = createNetworkReader()
  expect(lines.map(changesFacts)).toEqual(expected)
})
