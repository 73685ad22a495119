import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { controlPlaneAddress, nodeName } from '../sandbox/control-plane/addresses.ts'
import { apiServerUrl, createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'

const name = 'kubernetes.default.svc.cluster.local'
const line = 'a line of a log'
const patient = { timeout: 30_000 }

describe.each(await usableBackends())('a node and its control plane, on iptables-%s', (backend) => {
  let sandbox: ControlPlane
  /** Commands that take away what a test has put into the tables. */
  let undo: (() => Promise<unknown>)[]

  beforeAll(async () => {
    undo = []
    sandbox = await createControlPlane({ backend, leaseEveryMs: 100 })
  })
  afterAll(async () => sandbox.close())

  /** Puts a rule in front of all others of a base chain of the node. */
  async function insert(family: Family, chain: string, rule: string): Promise<void> {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`
    const spec = [chain, ...rule.split(' ')]
    await sandbox.node.exec(program, ['--wait', '-I', ...spec])
    undo.push(async () => sandbox.node.exec(program, ['--wait', '-D', ...spec]))
  }
  async function takeAway(): Promise<void> {
    for (const step of undo.splice(0)) await step()
  }

  const readNode = async (via: 'endpoint' | 'balancer' | 'service', family: Family) => {
    const kubeconfig = await sandbox.apiServer.writeKubeconfig('agent', apiServerUrl(via, family))
    return (await sandbox.client.readNode(kubeconfig)).name
  }
  const readLog = async (family: Family) => sandbox.apiServer.readLog(family)
  const lookUp = async (family: Family, asked = name) =>
    sandbox.client.lookUp(controlPlaneAddress.dns[family], asked)

  /** Waits until the Lease is renewed once more. */
  async function untilRenewed(): Promise<void> {
    const before = await sandbox.apiServer.renewals(nodeName)
    await expect.poll(async () => sandbox.apiServer.renewals(nodeName), patient).toBeGreaterThan(before)
  }
  /** Waits until the kubelet has failed so often; resolves to how many renewals the API server has seen meanwhile. */
  async function renewalsDuringFailures(failures: number): Promise<number> {
    const { failed } = await sandbox.kubelet.lease()
    const before = await sandbox.apiServer.renewals(nodeName)
    await expect
      .poll(async () => (await sandbox.kubelet.lease()).failed, patient)
      .toBeGreaterThanOrEqual(failed + failures)
    return (await sandbox.apiServer.renewals(nodeName)) - before
  }

  afterEach(takeAway)

  test.each(['endpoint', 'balancer', 'service'] as const)(
    'the API server is reached at its %s, and what goes there can be cut',
    async (via) => {
      await Promise.all(
        families.map(async (family) => {
          expect(await readNode(via, family)).toBe(nodeName)
          // What goes to the Service has the address of its endpoint by then.
          const address = controlPlaneAddress[via === 'balancer' ? 'balancer' : 'endpoint'][family]
          await insert(family, 'OUTPUT', `-d ${address} -j DROP`)
          await expect(readNode(via, family)).rejects.toThrow('nothing came for 1 s')
        }),
      )
      await takeAway()
      for (const family of families) expect(await readNode(via, family)).toBe(nodeName)
    },
  )

  test('the kubelet goes on over the connection that stands, until it is cut', async () => {
    await untilRenewed()
    await insert(
      'ipv4',
      'OUTPUT',
      `-d ${controlPlaneAddress.balancer.ipv4} -m conntrack --ctstate NEW -j DROP`,
    )
    await untilRenewed()
    await untilRenewed()
    await sandbox.apiServer.cutConnections()
    await renewalsDuringFailures(1)
    expect(await renewalsDuringFailures(3)).toBe(0)
    await takeAway()
    await untilRenewed()
  })

  test('no Lease is renewed while nothing comes in from the API server', async () => {
    await insert('ipv4', 'INPUT', `-s ${controlPlaneAddress.balancer.ipv4} -j DROP`)
    await renewalsDuringFailures(1)
    // A request still arrives over the connection that stood; those after it cannot even connect.
    expect(await renewalsDuringFailures(3)).toBe(0)
    await takeAway()
    await untilRenewed()
  })

  test.each(families)('logs come from the kubelet, over %s', async (family) => {
    const before = await sandbox.kubelet.logsRead()
    expect(await readLog(family)).toContain(line)
    expect(await sandbox.kubelet.logsRead()).toBe(before + 1)
  })

  test.each(families)('a client gets them by way of the API server, over %s', async (family) => {
    await sandbox.apiServer.callKubelets(family, 'endpoint')
    const kubeconfig = await sandbox.apiServer.writeKubeconfig('agent', apiServerUrl('service', family))
    expect(await sandbox.client.readLog(kubeconfig, { tailLines: '1' })).toContain(line)
    await sandbox.apiServer.closeKubeletConnections()
    await insert(family, 'INPUT', '-p tcp --dport 10250 -j REJECT --reject-with tcp-reset')
    await expect(sandbox.client.readLog(kubeconfig)).rejects.toThrow(/500 .*\/agent.*:10250: ECONNREFUSED/)
  })

  test.each(families)('without the kubelet port there are no logs, over %s', async (family) => {
    await sandbox.apiServer.closeKubeletConnections()
    await insert(family, 'INPUT', '-p tcp --dport 10250 -j DROP')
    await expect(readLog(family)).rejects.toThrow(':10250: i/o timeout')
    await takeAway()
    await insert(family, 'INPUT', '-p tcp --dport 10250 -j REJECT --reject-with tcp-reset')
    await expect(readLog(family)).rejects.toThrow(':10250: ECONNREFUSED')
    await takeAway()
    expect(await readLog(family)).toContain(line)
  })

  test('a connection to the kubelet that stands is used again, though no new one gets through', async () => {
    await readLog('ipv4')
    await insert('ipv4', 'INPUT', '-p tcp --dport 10250 -m conntrack --ctstate NEW -j DROP')
    expect(await readLog('ipv4')).toContain(line)
    const otherwise = { insecureSkipTLSVerifyBackend: 'true' }
    await expect(sandbox.apiServer.readLog('ipv4', otherwise)).rejects.toThrow('i/o timeout')
  })

  test.each(families)('the kubelet can be called from the balancer, over %s', async (family) => {
    const source = controlPlaneAddress.balancer[family]
    await insert(family, 'INPUT', `-s ${source} -p tcp --dport 10250 -j REJECT --reject-with tcp-reset`)
    await sandbox.apiServer.callKubelets(family, 'balancer')
    await expect(readLog(family)).rejects.toThrow('ECONNREFUSED')
    await sandbox.apiServer.callKubelets(family, 'endpoint')
    expect(await readLog(family)).toContain(line)
  })

  test.each(families)('names are looked up in the cluster, over %s', async (family) => {
    expect(await lookUp(family)).toEqual([controlPlaneAddress.service.ipv4])
    await expect(lookUp(family, 'nobody.example')).rejects.toThrow('ENOTFOUND')
    expect(await sandbox.dns.queries()).toContain('nobody.example')
  })

  test.each(families)('names are not found when DNS is cut or out of order, over %s', async (family) => {
    // It has the address of the pod by then.
    await insert(family, 'OUTPUT', `-d ${controlPlaneAddress.dnsPod[family]} -p udp --dport 53 -j DROP`)
    await expect(lookUp(family)).rejects.toThrow(/ETIMEOUT|ECONNREFUSED/)
    await takeAway()
    await sandbox.dns.setMood('silent')
    await expect(lookUp(family)).rejects.toThrow('ETIMEOUT')
    await sandbox.dns.setMood('fails')
    await expect(lookUp(family)).rejects.toThrow('ESERVFAIL')
    await sandbox.dns.setMood('answers')
    expect(await lookUp(family)).toEqual([controlPlaneAddress.service.ipv4])
  })

  test.each(families)('a node that drops everything has nothing left, over %s', async (family) => {
    for (const chain of ['INPUT', 'OUTPUT']) await insert(family, chain, '-j DROP')
    await expect(readNode('service', family)).rejects.toThrow('nothing came')
    await expect(lookUp(family)).rejects.toThrow(/ETIMEOUT|ECONNREFUSED/)
    await sandbox.apiServer.closeKubeletConnections()
    await expect(readLog(family)).rejects.toThrow('i/o timeout')
    await takeAway()
    expect(await readNode('service', family)).toBe(nodeName)
    expect(await lookUp(family)).toHaveLength(1)
    expect(await readLog(family)).toContain(line)
  })

  test.each([
    ['refuses connections', 'refuseConnections', 'acceptConnections', 'ECONNREFUSED'],
    ['is silent', 'goSilent', 'speak', 'nothing came for 1 s'],
  ] as const)('an API server that %s is seen to be so', async (_, begin, end, complaint) => {
    await sandbox.apiServer[begin]()
    await expect(readNode('balancer', 'ipv4')).rejects.toThrow(complaint)
    await sandbox.apiServer[end]()
    expect(await readNode('balancer', 'ipv4')).toBe(nodeName)
  })

  test.each([
    [{ status: 401 }, '401 Unauthorized'],
    [{ status: 403 }, '403 Forbidden'],
    [{ status: 429 }, '429'],
    [{ status: 500 }, '500 InternalError'],
    [{ body: 'half' }, 'the answer broke off'],
    [{ delayMs: 5_000 }, 'nothing came for 1 s'],
  ] as const)(
    'an API server that answers with %o fails those who read a Node, and no Lease',
    async (fault, complaint) => {
      await sandbox.apiServer.answerNext(100, { ...fault, path: '/api/v1/nodes' })
      await expect(readNode('balancer', 'ipv6')).rejects.toThrow(complaint)
      await untilRenewed()
      await sandbox.apiServer.forgetFaults()
      expect(await readNode('balancer', 'ipv6')).toBe(nodeName)
    },
  )
})
