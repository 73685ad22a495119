import { createSocket } from 'node:dgram'
import type { Request, StreamCount } from './protocol.ts'

/**
 * Datagrams without end: `blast` sends as fast as it can, `echo` sends the next when the answer is there, so
 * that each one that gets lost on the way is noticed.
 */
export function startStream({ address, port, mode }: Request & { kind: 'stream' }) {
  const count: StreamCount = { sent: 0, answered: 0, lost: 0 }
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  let running = true
  let timer: NodeJS.Timeout | undefined
  const lostAfterMs = 500
  const next = () => {
    clearTimeout(timer)
    if (!running) return
    for (let burst = mode === 'blast' ? 32 : 1; burst > 0; burst -= 1) {
      count.sent += 1
      socket.send('datagram')
    }
    // Without a pause between bursts the order to stop would never be read.
    if (mode === 'blast') setImmediate(next)
    else timer = setTimeout(miss, lostAfterMs)
  }
  const miss = () => {
    count.lost += 1
    next()
  }
  socket.on('message', () => {
    count.answered += 1
    if (mode === 'echo') next()
  })
  socket.on('error', () => (mode === 'echo' ? miss() : undefined))
  socket.connect(port, address, next)
  return {
    async stop() {
      running = false
      clearTimeout(timer)
      await new Promise<void>((resolve) => socket.close(() => resolve()))
      return count
    },
  }
}
