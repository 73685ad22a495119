import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest, IncomingMessage } from 'node:http'

type Started = { readonly request: ClientRequest }
type Answered = { readonly request: ClientRequest; readonly response: IncomingMessage }

/** Counts HTTP requests of this process that wait for the end of their answer; of a watch, for its beginning. */
export function watchInFlight() {
  const waiting = new Set<ClientRequest>()
  const onStart = (message: unknown) => {
    const { request } = message as Started
    waiting.add(request)
    request.once('close', () => waiting.delete(request))
  }
  const onAnswer = (message: unknown) => {
    const { request, response } = message as Answered
    if (request.path.includes('watch=true')) waiting.delete(request)
    else response.once('close', () => waiting.delete(request))
  }
  subscribe('http.client.request.created', onStart)
  subscribe('http.client.response.finish', onAnswer)
  return {
    count: () => waiting.size,
    stop() {
      unsubscribe('http.client.request.created', onStart)
      unsubscribe('http.client.response.finish', onAnswer)
    },
  }
}
