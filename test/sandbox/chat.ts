/*
 * One end of a TCP connection: it serves one, or opens one, and says and hears words.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { serveMethods } from './service.ts'

let peer: Socket | undefined
let heard = ''

const methods = {
  async serve(port: number): Promise<void> {
    const server = createServer(take)
    server.listen(port, '::')
    await once(server, 'listening')
  },
  async open(host: string, port: number): Promise<void> {
    const socket = connect({ host, port })
    await once(socket, 'connect')
    take(socket)
  },
  say(word: string): void {
    peer?.write(word)
  },
  /** What has come since the start, and whether the connection has ended. */
  heard: () => ({ heard, ended: peer === undefined }),
}
export type ChatMethods = typeof methods
serveMethods(methods)

function take(socket: Socket): void {
  peer = socket
  socket.on('data', (chunk) => (heard += chunk.toString()))
  socket.on('error', () => {}) // it closes then
  socket.on('close', () => (peer = undefined))
}
