import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { createInterface } from 'node:readline'
import { verbOf } from '../api-server/call.ts'
import type { Call, Reply } from '../api-server/call.ts'
import { parseTarget } from '../api-server/resources.ts'
import type { OpenWatch, Sink } from '../api-server/watch.ts'

/** Hands a request on, as it is, and hands back the answer. */
export function createForward(url: string, caFile: string) {
  const agent = new Agent({ keepAlive: true })
  const ca = readFileSync(caFile)
  return {
    async forward(call: Call): Promise<Reply> {
      const { method, path, query, headers, body } = call
      const { host: _host, connection: _connection, ...passed } = headers
      const asked = query.size === 0 ? path : `${path}?${query.toString()}`
      const request = httpsRequest(url + asked, { method, ca, headers: passed, agent })
      request.end(body === '' ? undefined : body)
      // `once` knows nothing of types: the event "response" brings an IncomingMessage.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const answer = (await once(request, 'response'))[0] as IncomingMessage
      const code = answer.statusCode ?? 0
      if (code === 200 && isWatch(call)) {
        return { code, stream: (sink) => pass(answer, sink) }
      }
      let raw = ''
      for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) raw += chunk
      return { code, raw, headers: endToEnd(answer.headers) }
    },
    close: () => agent.destroy(),
  }
}

export function isWatch(call: Call): boolean {
  const target = parseTarget(call.path)
  return target !== undefined && verbOf(call, target) === 'watch'
}

/** What concerns one connection only is for those at its ends. */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _connection, 'transfer-encoding': _encoding, 'content-length': _, ...rest } = headers
  return rest
}

function pass(answer: IncomingMessage, sink: Sink): OpenWatch {
  const lines = createInterface(answer)
  lines.on('line', (line) => sink.write(`${line}\n`))
  lines.on('close', () => sink.end())
  const close = () => {
    lines.close()
    answer.destroy()
  }
  return { sendBookmark() {}, end: close, close: () => void answer.destroy() }
}
