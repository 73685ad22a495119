import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dump, rulesIn } from '../kernel/dump.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { longRows } from '../kernel/long-rows.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { startApiServer } from './api-server.ts'
import type { ApiServer } from './api-server.ts'
import { putOneNodeCluster } from './one-node-cluster.ts'
import { startKubelet } from './virtual-kubelet.ts'
import type { VirtualKubelet } from './virtual-kubelet.ts'

type Fault = {
  readonly name: string
  readonly begin: (server: ApiServer) => void | Promise<void>
  readonly end: (server: ApiServer) => void | Promise<void>
  /** What the log and the failed probe say of it. */
  readonly said: RegExp
  /** It takes the time that the agent waits for an answer, and so belongs to the long run. */
  readonly slow?: true
}

const answers = (fault: Parameters<ApiServer['faults']['answerAll']>[0]): Pick<Fault, 'begin' | 'end'> => ({
  begin: (server) => server.faults.answerAll(fault),
  end: (server) => server.faults.forget(),
})

const faults: readonly Fault[] = [
  { name: '401, its token is good no longer', ...answers({ status: 401 }), said: /401 Unauthorized/ },
  { name: '403, a right is missing', ...answers({ status: 403 }), said: /403 Forbidden/ },
  { name: '409', ...answers({ status: 409 }), said: /409 Conflict/ },
  {
    name: '429 with Retry-After',
    ...answers({ status: 429, retryAfterSeconds: 1 }),
    said: /429 Too many requests, please try again later/,
  },
  { name: '500', ...answers({ status: 500 }), said: /500 InternalError/ },
  { name: '503', ...answers({ status: 503 }), said: /503 ServiceUnavailable/ },
  { name: 'half a body', ...answers({ body: 'half' }), said: /the answer broke off|no answer in time/ },
  { name: 'a page of somebody else', ...answers({ body: 'html' }), said: /the answer is no JSON/ },
  {
    name: 'nothing: connections are refused',
    begin: (server) => server.faults.refuseConnections(),
    end: async (server) => server.faults.acceptConnections(),
    said: /no connection: ECONNREFUSED/,
  },
  {
    name: 'its own answer, 12 s late',
    ...answers({ delayMs: 12_000 }),
    said: /nothing came for 10 s|no answer in time/,
    slow: true,
  },
  {
    name: 'a body letter by letter',
    // A watch waits for longer than that: see own-node-watch.test.ts.
    begin(server) {
      for (const verb of ['get', 'list', 'patch', 'create']) server.faults.answerAll({ body: 'drip', verb })
    },
    end: (server) => server.faults.forget(),
    said: /nothing came for 10 s|no answer in time/,
    slow: true,
  },
  {
    name: 'silence',
    begin: (server) => server.faults.goSilent(),
    end: (server) => server.faults.speak(),
    said: /nothing came for 10 s|no answer in time/,
    slow: true,
  },
]
const ordinary = ['401, its token is good no longer', '500', 'half a body']

const external = { interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } }
const opening = (port: number) =>
  rulesetOf({ ...external, rules: [{ name: 'a', action: 'accept', protocol: 'tcp', ports: [port] }] })
const confirmed = ({ msg }: LogLine) => msg === 'the change is confirmed'
const patient = { timeout: 60_000 }

describe('an API server that answers with', () => {
  let host: Host
  let server: ApiServer
  let kubelet: VirtualKubelet
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess
  let port: number

  beforeEach(async () => {
    host = await startHost()
    server = await startApiServer({ node: 'test-node' })
    putOneNodeCluster(server, 'test-node')
    kubelet = startKubelet(server, 'test-node')
    port = 1000
    mount = await createMount({ 'worker.yaml': opening(port) })
    const args = ['--verify-schedule', '* * * * * *', '--confirm-deadline', '4']
    agent = await startAgent(host, { rules: mount.folder, args, kubeconfig: server.kubeconfigFile })
    await agent.next(confirmed)
  })
  afterEach(async () => {
    kubelet.pause()
    await agent.kill()
    await mount.remove()
    await server.close()
    await host.close()
  })

  const annotation = (name: string) =>
    server.getNode('test-node').metadata.annotations?.[`node-firewall.io/${name}`]

  async function edit(comment = ''): Promise<void> {
    if (comment === '') port += 1
    await mount.write({ 'worker.yaml': comment + opening(port) })
  }

  const steady = longRows('faults of the API server', faults, ({ name }) => ordinary.includes(name))
  test.each(steady)(
    '$name: passes go on, rules stay, an edit is in force all the same, and the Node says so later',
    async ({ begin, end, said }) => {
      const start = agent.log.length
      const before = rulesIn(await dump(host))
      await begin(server)
      server.faults.cutWatches()
      server.changeNode('test-node', { annotations: { 'node-firewall.io/message': 'somebody else' } })
      const complaints = () =>
        agent.log.slice(start).flatMap(({ level, err }) => (level === 'warn' ? [JSON.stringify(err)] : []))
      await expect.poll(() => complaints().join('\n'), patient).toMatch(said)
      const line = await agent.next(({ reasons }) => String(reasons).includes('verify'))
      expect(line['state']).toBe('Enforcing')
      expect(rulesIn(await dump(host))).toBe(before)

      await edit()
      await agent.next(confirmed)
      expect(await dump(host)).toContain(`--dport ${port} `)
      await end(server)
      const hash = () => agent.log.findLast((each) => each['ruleset'] !== undefined)?.['ruleset']
      await expect.poll(() => annotation('ruleset') === hash(), patient).toBe(true)
      await expect.poll(() => annotation('message'), patient).toContain('verified')
      server.changeNode('test-node', { labels: { seen: String(port) } })
      await agent.next(({ reasons }) => String(reasons).includes('node'))
    },
  )

  /** An edit is in force, its probes passed before, and all of them but that of the Lease may have passed since. */
  async function tryOut(): Promise<void> {
    await edit()
    await agent.next(({ msg }) => msg === 'rules written')
    const line = await agent.next(({ state }) => state === 'Confirming')
    expect(line.msg).toContain('2 probes decide')
  }

  const during = longRows(
    'faults of the API server while a change is tried',
    faults,
    ({ name }) => name === '500',
  )
  test.each(during)(
    '$name while a change is tried, to its deadline: it is rolled back, and tried again with the next edit',
    async ({ begin, end, said }) => {
      const before = rulesIn(await dump(host))
      kubelet.pause()
      await tryOut()
      await begin(server)
      const line = await agent.next(({ state }) => state === 'RolledBack')
      expect(line.msg).toMatch(/was rolled back, (lease|api server) failed: /)
      expect(line.msg).toMatch(said)
      expect(rulesIn(await dump(host))).toBe(before)
      await end(server)
      kubelet.goOn()
      await expect.poll(() => annotation('state'), patient).toBe('RolledBack')
      await edit('# once more\n')
      await agent.next(confirmed)
      expect(await dump(host)).toContain(`--dport ${port} `)
      await expect.poll(() => annotation('state'), patient).toBe('Enforcing')
    },
  )

  const passing = longRows('faults of the API server that pass', faults, ({ name }) => name === '500')
  test.each(passing.filter(({ slow }) => slow !== true))(
    '$name while a change is tried, for a moment: it is confirmed',
    async ({ begin, end }) => {
      kubelet.pause()
      await tryOut()
      const asked = server.requests.length
      await begin(server)
      await end(server)
      kubelet.goOn()
      await agent.next(confirmed)
      expect(server.requests.length).toBeGreaterThan(asked)
      expect(await dump(host)).toContain(`--dport ${port} `)
    },
  )

  test('a token that is rotated is read again at once, and its probes count', async () => {
    await server.rotateToken()
    await tryOut()
    await agent.next(confirmed)
    const hash = agent.log.findLast((each) => each['ruleset'] !== undefined)?.['ruleset']
    await expect.poll(() => annotation('ruleset'), patient).toBe(hash)
  })

  test('a right that is taken and given back', async () => {
    await server.rotateToken([])
    await edit()
    await agent.next(confirmed)
    await server.rotateToken()
    const hash = agent.log.findLast((each) => each['ruleset'] !== undefined)?.['ruleset']
    await expect.poll(() => annotation('ruleset'), patient).toBe(hash)
  })
})
