import type { Family } from '../../agent/ruleset/address.ts'
import { fragments } from './fragments.ts'
import type { Piece } from './fragments.ts'
import { packet, tcp, udp } from './packet.ts'
import type { Shape } from './raw-shapes.ts'

type Content = { readonly data: string; readonly sourcePort: number }

/** Bytes of the payload that go in each fragment, in the order they are sent; `!` marks other bytes than the packet's. */
type Row = readonly [name: string, pieces: string, reaches: Shape['reaches']]

/** A datagram with 56 bytes of data is 64 bytes long. */
const datagrams: readonly Row[] = [
  ['two fragments', '0-32 32-64', 'process'],
  ['the later fragment first', '32-64 0-32', 'process'],
  ['a first fragment of 8 bytes', '0-8 8-64', 'process'],
  ['a fragment twice', '0-32 0-32 32-64', 'process'],
  ['a second header, which the kernel ignores', '0-32 0-16! 32-64', 'process'],
  ['an overlap', '0-32 24-40! 32-64', 'nowhere'],
  ['the first fragment alone', '0-32', 'nowhere'],
  ['a later fragment alone', '32-64', 'nowhere'],
]

/** A TCP segment with 56 bytes of data is 76 bytes long; its ports are in the first 8 bytes, its flags in the next. */
const segments = (tiny: Shape['reaches']): readonly Row[] => [
  ['two fragments', '0-40 40-76', 'input'],
  ['flags in the second fragment', '0-8 8-76', tiny],
  ['ports in the last fragment sent', '16-76 8-16 0-8', tiny],
]

/** Packets in pieces. */
export function fragmentShapes(family: Family, { data, sourcePort }: Content): Shape[] {
  const cutDatagrams = datagrams.map(([name, pieces, reaches]): Shape => ({
    name: `datagram, ${name}`,
    family,
    protocol: 'udp',
    build: (target) => {
      const whole = packet({ ...target, transport: udp(sourcePort, target.port, data) })
      lastIdentification += 1
      return fragments(whole, parsePieces(pieces), lastIdentification)
    },
    reaches,
  }))
  const tiny = family === 'ipv4' ? 'input' : 'input on nft'
  const cutSegments = segments(tiny).map(([name, pieces, reaches]): Shape => ({
    name: `SYN with data, ${name}`,
    family,
    protocol: 'tcp',
    build: (target) => {
      const whole = packet({ ...target, transport: tcp(sourcePort, target.port, ['SYN'], data) })
      lastIdentification += 1
      return fragments(whole, parsePieces(pieces), lastIdentification)
    },
    reaches,
    invalid: reaches === 'input on nft',
  }))
  return [...cutDatagrams, ...cutSegments]
}

function parsePieces(text: string): Piece[] {
  return text.split(' ').map((piece) => {
    const [from = 0, to = 0] = piece.replace('!', '').split('-').map(Number)
    return piece.endsWith('!') ? [from, to, Buffer.alloc(to - from, 0xff)] : [from, to]
  })
}

/** Fragments of one packet must not be taken for another's, which the kernel waits for up to a minute. */
let lastIdentification = 0
