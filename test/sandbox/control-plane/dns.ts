/*
 * The DNS server of a cluster, over UDP and TCP at port 53: it knows the Service of the API server, and no other name.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { serveMethods } from '../service.ts'
import { controlPlaneAddress } from './addresses.ts'
import { answerQuery, readQuestion } from './dns-answer.ts'
import type { DnsMood } from './dns-answer.ts'

const zone = new Map([['kubernetes.default.svc.cluster.local', Object.values(controlPlaneAddress.service)]])
const queries: string[] = []
let mood: DnsMood = 'answers'

const udp = createSocket('udp6')
udp.on('message', (query, { port, address }) => {
  const answer = handle(query)
  // The error of an answer that cannot leave is for nobody.
  if (answer !== undefined) udp.send(answer, port, address, () => {})
})
udp.bind(53, '::')
const tcp = createServer(serveTcp).listen({ port: 53, host: '::' })
await Promise.all([once(udp, 'listening'), once(tcp, 'listening')])

const methods = {
  /** The names that were asked for, oldest first. */
  queries: () => queries,
  setMood: (wanted: DnsMood) => {
    mood = wanted
  },
}
export type DnsMethods = typeof methods
serveMethods(methods)

function handle(query: Buffer): Buffer | undefined {
  queries.push(readQuestion(query).name)
  return mood === 'silent' ? undefined : answerQuery(query, zone, mood)
}

/** Over TCP each message stands behind its length (RFC 1035, 4.2.2). */
function serveTcp(socket: Socket): void {
  let received = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (data) => {
    received = Buffer.concat([received, data])
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0)
      const answer = handle(received.subarray(2, end))
      received = received.subarray(end)
      if (answer === undefined) continue
      const length = Buffer.alloc(2)
      length.writeUInt16BE(answer.length)
      socket.write(Buffer.concat([length, answer]))
    }
  })
}
