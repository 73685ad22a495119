import { join } from 'node:path'
import type { Host } from './host.ts'

/** An Ethernet frame, to leave by an interface: for packets that the sender's own routing would not let go. */
export type Frame = { readonly device: string; readonly bytes: Buffer }

/** Sends packets that are given to the last byte, in order. They pass the sender's own OUTPUT; frames do not. */
export async function sendRaw(host: Host, packets: Buffer | readonly (Buffer | Frame)[]): Promise<void> {
  const list = Buffer.isBuffer(packets) ? [packets] : packets
  const lines = list.map((packet) =>
    Buffer.isBuffer(packet) ? packet.toString('hex') : `${packet.device} ${packet.bytes.toString('hex')}`,
  )
  await host.exec('perl', [sender], { input: lines.map((line) => `${line}\n`).join('') })
}

/** Puts a packet in a frame to a neighbour of the host. */
export async function frameTo(
  neighbour: Host,
  neighbourDevice: string,
  packet: Buffer,
  device = 'eth0',
): Promise<Frame> {
  const { stdout } = await neighbour.exec('ip', ['-json', 'link', 'show', neighbourDevice])
  const [{ address } = { address: '' }] = JSON.parse(stdout) as { address: string }[]
  const target = Buffer.from(address.replaceAll(':', ''), 'hex')
  const source = Buffer.from('020000000001', 'hex') // any address that nobody has
  const type = Buffer.from(packet.readUInt8(0) >> 4 === 4 ? '0800' : '86dd', 'hex')
  return { device, bytes: Buffer.concat([target, source, type, packet]) }
}

const sender = join(import.meta.dirname, 'raw-sender.pl')
