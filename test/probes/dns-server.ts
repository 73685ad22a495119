import { createSocket } from 'node:dgram'
import ipaddr from 'ipaddr.js'
import type { Zone } from './order.ts'

const types = { 1: 'A', 28: 'AAAA' } as const
const nxdomain = 3

/** A DNS server for a few names (RFC 1035, 4.1), on both families; `clients` gets the port of each question. */
export async function serveDns(port: number, zone: Zone, clients: number[]): Promise<void> {
  const socket = createSocket('udp6')
  socket.on('message', (question, client) => {
    clients.push(client.port)
    const answer = answerTo(question, zone)
    if (answer !== undefined) socket.send(answer, client.port, client.address, () => {})
  })
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.bind(port, '::', resolve)
  })
}

function answerTo(question: Buffer, zone: Zone): Buffer | undefined {
  const labels: string[] = []
  let at = 12
  for (let length = question[at] ?? 0; length !== 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  const type = question.readUInt16BE(at + 1)
  const asked = question.subarray(12, at + 5)
  const entry = zone[labels.join('.').toLowerCase()] ?? nxdomain
  if (entry === 'silence') return undefined
  const code = typeof entry === 'number' ? entry : 0
  const address = typeof entry === 'number' ? undefined : entry[types[type as keyof typeof types]]
  const records = address === undefined ? [] : [record(type, address)]
  const header = [question[0] ?? 0, question[1] ?? 0, 0x81, 0x80 | code, 0, 1, 0, records.length, 0, 0, 0, 0]
  return Buffer.concat([Buffer.from(header), asked, ...records])
}

/** Of the name in the question, valid for a minute. */
function record(type: number, address: string): Buffer {
  const bytes = ipaddr.parse(address).toByteArray()
  return Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, bytes.length, ...bytes])
}
