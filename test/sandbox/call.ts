import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { question } from './listen.ts'
import type { Call, Outcome, Probe, Visit } from './protocol.ts'

type Asked = Probe & {
  /** Whether the server shall say what it sees; else a connection is answer enough. */
  readonly ask: boolean
}

/**
 * Opens a connection or sends a datagram, and waits for what comes of it.
 *
 * @throws {Error} of the socket when there is no way to send at all, such as no route.
 */
export async function call(asked: Asked): Promise<Call> {
  return asked.protocol === 'tcp' ? callTcp(asked) : callUdp(asked)
}

async function callTcp({ address, port, source, sourcePort, silenceMs, ask }: Asked): Promise<Call> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port,
      ...(source === undefined ? {} : { localAddress: source }),
      ...(sourcePort === undefined ? {} : { localPort: sourcePort }),
    })
    const end = () => {
      clearTimeout(timer)
      // Without a reset, a port chosen by hand could not be used again for a minute.
      if (sourcePort === undefined) socket.destroy()
      else socket.resetAndDestroy()
    }
    const finish = (result: Call) => {
      end()
      resolve(result)
    }
    const timer = setTimeout(() => finish({ outcome: 'silence' }), silenceMs)
    socket.on('connect', () => (ask ? socket.write(question) : finish({ outcome: 'accepted' })))
    socket.on('data', (data) => finish(answered(data)))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      end()
      settle(error, resolve, reject)
    })
  })
}

async function callUdp({ address, port, source, sourcePort, silenceMs, ask }: Asked): Promise<Call> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      socket.close()
    }
    const finish = (result: Call) => {
      end()
      resolve(result)
    }
    const fail = (error: NodeJS.ErrnoException) => {
      end()
      settle(error, resolve, reject)
    }
    const timer = setTimeout(() => finish({ outcome: 'silence' }), silenceMs)
    socket.on('message', (data) => finish(ask ? answered(data) : { outcome: 'accepted' }))
    socket.on('error', fail)
    const send = () => socket.connect(port, address, () => socket.send(ask ? question : 'probe'))
    if (source === undefined && sourcePort === undefined) send()
    else socket.bind(sourcePort ?? 0, source, send)
  })
}

function answered(data: Buffer): Call {
  return { outcome: 'accepted', visit: JSON.parse(data.toString()) as Visit }
}

function settle(
  error: NodeJS.ErrnoException,
  resolve: (result: Call) => void,
  reject: (error: Error) => void,
): void {
  const outcome = outcomes[error.code ?? '']
  if (outcome === undefined) reject(error)
  else resolve({ outcome })
}

/** How the ways to be turned away look to a client, see icmp(7) and `icmp6_err_convert` in Linux. */
const outcomes: Readonly<Record<string, Outcome>> = {
  ECONNREFUSED: 'refused', // a reset, or port unreachable
  ECONNRESET: 'refused',
  EHOSTUNREACH: 'refused', // host unreachable or prohibited
  EACCES: 'refused', // administratively prohibited, in IPv6
  EPERM: 'silence', // dropped on the sender's own way out, and only a sender of datagrams is told
}
