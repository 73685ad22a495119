/*
 * Runs probes, or the servers they go to, on a host of a sandbox: takes one JSON order a line on stdin, answers one
 * JSON line each in the same order, and ends when stdin does.
 */
import { getEventListeners } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { realClock } from '../../agent/cluster/clock.ts'
import { createExec } from '../../agent/host/exec.ts'
import { clusterDnsProbes } from '../../agent/probes/cluster-dns.ts'
import type { Probe } from '../../agent/probes/probe.ts'
import { createProber } from '../../agent/probes/prober.ts'
import { createRulesetProbes } from '../../agent/probes/ruleset-probes.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { serveDns } from './dns-server.ts'
import type { Answer, Held, Order } from './order.ts'

const prober = createProber(realClock)
const clients = new Map<number, number[]>()

let last = Promise.resolve()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void (last = last.then(async () => answer(line))))
// Whatever is still open, or waits: nothing outlives the process that made the sandbox.
lines.on('close', () => process.exit(0)) // eslint-disable-line unicorn/no-process-exit -- see above

async function answer(line: string): Promise<void> {
  const result = await obey(JSON.parse(line) as Order).catch((error: unknown) => ({ error: String(error) }))
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

let createDnsProbe = clusterDnsProbes(async () => [])

async function obey(order: Order): Promise<Answer> {
  switch (order.kind) {
    case 'run':
      return { results: await prober.before(probesOf(order.ruleset), AbortSignal.any([])) }
    case 'clusterDns':
      createDnsProbe = clusterDnsProbes(async () => order.addresses)
      return { results: await prober.before([createDnsProbe()], AbortSignal.any([])) }
    case 'clusterDnsAfter':
      // Any run of a probe before a change is made once, as is wanted here.
      return {
        results: await prober.before(
          [{ ...createDnsProbe(), before: createDnsProbe().after }],
          AbortSignal.any([]),
        ),
      }
    case 'callOff':
      return callOff(probesOf(order.ruleset))
    case 'http':
      return serveHttp(order)
    case 'dns':
      await serveDns(order.port, order.zone, clientsOf(order.port))
      return {}
    case 'clients':
      return { clients: clientsOf(order.port) }
  }
}

function probesOf(text: string): Probe[] {
  const { rulesets, problems } = parseRulesets([{ path: 'test.yaml', bytes: Buffer.from(text) }])
  if (problems.length > 0) throw new Error(problems[0]?.message)
  return createRulesetProbes(rulesets, { exec: createExec(process.pid) })
}

async function callOff(probes: readonly Probe[]): Promise<Answer> {
  const stop = new AbortController()
  const look = (): Held => ({
    resources: process.getActiveResourcesInfo().toSorted(),
    sockets: countSockets(),
    listeners: getEventListeners(stop.signal, 'abort').length,
  })
  const before = look()
  const running = prober.after(probes, AbortSignal.any([]), stop.signal)
  while (countSockets() === before.sockets) await sleep(5)
  const meanwhile = look()
  stop.abort()
  const results = await running
  // The kernel's objects go in a later turn of the loop, and a killed process takes a moment to end.
  while (!isDeepStrictEqual(look(), before)) await sleep(5)
  return { results, held: { before, meanwhile } }
}

function countSockets(): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return '' // that of the folder itself
    }
  })
  return targets.filter((target) => target.startsWith('socket:')).length
}

async function serveHttp({ port, status, tls }: Extract<Order, { kind: 'http' }>): Promise<Answer> {
  const handle: Parameters<typeof createServer>[1] = (request, response) => {
    clientsOf(port).push(request.socket.remotePort ?? 0)
    response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('hello')
  }
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen({ port, host: '::' }, resolve)
  })
  return {}
}

function clientsOf(port: number): number[] {
  const list = clients.get(port) ?? []
  clients.set(port, list)
  return list
}
