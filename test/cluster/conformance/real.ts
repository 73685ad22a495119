import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeCertificate } from '../api-server/credentials.ts'
import { AGENT_RULES } from '../api-server/agent-identity.ts'
import type { Rule } from '../api-server/access-control.ts'
import { createAgentTokens, enforcePolicies } from './real-agent.ts'
import { AGENT_NODE, NARROW, USERS } from './target.ts'
import type { ConformanceTarget } from './target.ts'
import { createHttp } from './http-client.ts'
import type { Http } from './http-client.ts'

/** Starts `etcd` and `kube-apiserver` from `binaries`, on loopback, with the users of the suite. */
export async function startReal(binaries: string): Promise<ConformanceTarget> {
  const folder = await mkdtemp(path.join(tmpdir(), 'node-firewall-kube-apiserver-'))
  const { caFile, keyFile } = await makeCertificate(folder)
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const file = async (name: string, content: string) => {
    await writeFile(path.join(folder, name), content, { mode: 0o600 })
    return path.join(folder, name)
  }
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()]
  const logFile = path.join(folder, 'log')
  const log = await open(logFile, 'a')
  const start = (binary: string, args: string[]) =>
    spawn(path.join(binaries, binary), args, { stdio: ['ignore', log.fd, log.fd] })
  const etcdUrl = `http://127.0.0.1:${client}`
  const etcd = start('etcd', [
    `--data-dir=${path.join(folder, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    '--unsafe-no-fsync',
    '--log-level=error',
  ])
  const apiServer = start('kube-apiserver', [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--tls-cert-file=${caFile}`,
    `--tls-private-key-file=${keyFile}`,
    `--cert-dir=${folder}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${await file('sa.pub', publicKey)}`,
    `--service-account-signing-key-file=${await file('sa.key', privateKey)}`,
    `--token-auth-file=${await file('tokens.csv', tokenTable())}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/24',
  ])
  const http = createHttp(`https://127.0.0.1:${port}`, caFile)
  const stop = async () => {
    await end(apiServer)
    await end(etcd)
    await log.close()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await untilReady(http, apiServer)
    await grant(http)
    const tokens = { ...TOKENS, ...(await createAgentTokens(async (at, body) => create(http, at, body))) }
    await enforcePolicies(
      async (at, body) => create(http, at, body),
      async () => isRefused(http, tokens.unbound),
    )
    return { http, tokens, stop }
  } catch (cause) {
    const said = await readFile(logFile, 'utf8')
    await stop()
    throw new Error(`starting kube-apiserver: ${said.slice(-2000)}`, { cause })
  }
}

const TOKENS = { admin: 'token-admin', narrow: 'token-narrow', nobody: 'token-nobody' }

/** token,user,uid,"groups" */
function tokenTable(): string {
  const lines = Object.entries(TOKENS).map(([role, token]) => {
    const user = role === 'admin' || role === 'narrow' ? USERS[role] : USERS.nobody
    return `${token},${user},${role}${role === 'admin' ? ',"system:masters"' : ''}`
  })
  return `${lines.join('\n')}\n`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server that listens has an AddressInfo
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function untilReady(http: Http, apiServer: ChildProcess): Promise<void> {
  const { admin: token } = TOKENS
  const namespaces = ['default', 'kube-system', 'kube-node-lease']
  const paths = ['/readyz', ...namespaces.map((name) => `/api/v1/namespaces/${name}`)]
  for (const path of paths) {
    let status = 0
    while (status !== 200) {
      if (apiServer.exitCode !== null) throw new Error(`kube-apiserver ended with ${apiServer.exitCode}`)
      status = await http.call('GET', path, { token }).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status !== 200) await sleep(100)
    }
  }
}

async function grant(http: Http): Promise<void> {
  await create(http, '/api/v1/namespaces', { metadata: { name: 'node-firewall' } })
  // No controller makes it here, and without it there are no pods.
  await create(http, '/api/v1/namespaces/node-firewall/serviceaccounts', { metadata: { name: 'default' } })
  for (const namespace of new Set(AGENT_RULES.map((rule) => rule.namespace))) {
    const rules = AGENT_RULES.filter((rule) => rule.namespace === namespace)
    await giveRole(http, 'agent', USERS.agent, rules, namespace)
  }
  await giveRole(http, 'narrow', USERS.narrow, [NARROW], NARROW.namespace)
}

async function giveRole(http: Http, name: string, user: string, rules: readonly Rule[], namespace?: string) {
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const at = namespace === undefined ? `${rbac}/cluster` : `${rbac}/namespaces/${namespace}/`
  await create(http, `${at}roles`, { metadata: { name }, rules: rules.map(policyRule) })
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  await create(http, `${at}rolebindings`, bind(name, kind, user))
}

/** `pods/log` and `leases.coordination.k8s.io` name the group behind the first dot. */
function policyRule({ verbs, resources: [resource = ''], names }: Rule) {
  const [plural = '', ...group] = resource.split('.')
  const rule = { apiGroups: [group.join('.')], resources: [plural], verbs }
  return names === undefined ? rule : { ...rule, resourceNames: names }
}

function bind(name: string, kind: string, user: string) {
  const apiGroup = 'rbac.authorization.k8s.io'
  return {
    metadata: { name },
    roleRef: { apiGroup, kind, name },
    subjects: [{ apiGroup, kind: 'User', name: user }],
  }
}

/** Whether the policies of manifests/base stop a write that RBAC allows. */
async function isRefused(http: Http, token: string): Promise<boolean> {
  const body = { metadata: { annotations: { 'node-firewall.io/state': 'Off' } } }
  const path = `/api/v1/nodes/${AGENT_NODE}?dryRun=All`
  const contentType = 'application/merge-patch+json'
  const { status } = await http.call('PATCH', path, { token, contentType, body })
  return status === 403
}

async function create(http: Http, path: string, body: unknown): Promise<unknown> {
  const answer = await http.call('POST', path, { token: TOKENS.admin, contentType: 'application/json', body })
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
  return answer.body
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  // Nothing is worth saving, and an orderly end takes 10 s.
  child.kill('SIGKILL')
  await once(child, 'exit')
}
