import { describe, expect, test } from 'vitest'
import { ApiError } from '../../agent/cluster/api-error.ts'
import { parseSlice, readCidrs } from '../../agent/cluster/endpoint-slice.ts'
import { formatCidr } from '../../agent/ruleset/address.ts'

const metadata = { name: 'node-firewall-5z2v9', resourceVersion: '781' }
const conditions = { ready: true, serving: true, terminating: false }
const down = { ready: true, serving: false, terminating: true }
const request = { method: 'GET', path: '/slices' } as const

describe('an EndpointSlice', () => {
  test.each([
    [
      'both endpoints, also the one that does not serve and ends',
      {
        addressType: 'IPv4',
        endpoints: [
          { addresses: ['10.88.0.12'], conditions },
          { addresses: ['10.88.0.11'], conditions: down },
        ],
        ports: [{ name: 'https', protocol: 'TCP', port: 6443 }],
      },
      { addresses: ['10.88.0.12/32', '10.88.0.11/32'], ports: [6443] },
    ],
    [
      'IPv6, in the form that the kernel prints',
      { addressType: 'IPv6', endpoints: [{ addresses: ['FD88:0::12'], conditions }], ports: null },
      { addresses: ['fd88::12/128'], ports: [] },
    ],
    ['nothing in it', { addressType: 'IPv4', endpoints: null, ports: null }, { addresses: [], ports: [] }],
    [
      'names are no addresses',
      { addressType: 'FQDN', endpoints: [{ addresses: ['a.example.org'] }], ports: [] },
      { addresses: [], ports: [] },
    ],
    [
      'one address in a form of old, which is left out',
      { addressType: 'IPv4', endpoints: [{ addresses: ['010.0.0.1'] }, { addresses: ['10.0.0.2'] }] },
      { addresses: ['10.0.0.2/32'], ports: [] },
    ],
    [
      'a port without a number, which stands for all',
      { addressType: 'IPv4', endpoints: [], ports: [{ name: '', port: null }] },
      { addresses: [], ports: [] },
    ],
  ])('%s', (_, content, expected) => {
    const slice = parseSlice({ metadata, ...content }, request)
    expect({ addresses: slice.addresses.map(formatCidr), ports: slice.ports }).toEqual(expected)
    expect(slice).toMatchObject({ name: 'node-firewall-5z2v9', version: '781' })
  })

  test('a network of everybody is no pod network', () => {
    expect(readCidrs(['0.0.0.0/0', '10.244.0.0/24', '::/0']).map(formatCidr)).toEqual(['10.244.0.0/24'])
  })

  test('something else is an error that says so', () => {
    const parsing = () => parseSlice({ metadata: { name: 'a' } }, request)
    expect(parsing).toThrow(ApiError)
    expect(parsing).toThrow(/^GET \/slices: the answer is not what was asked for: .*resourceVersion/)
  })
})
