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
import { z } from 'zod'
import { makeCertificate } from '../api-server/credentials.ts'
import { createHttp } from '../conformance/http-client.ts'

/** A kube-apiserver with an etcd of its own, both on loopback. */
export type KubeApiServer = {
  readonly url: string
  readonly caFile: string
  /** Of a user who may do everything. */
  readonly adminToken: string
  readonly version: Version
  /** Makes etcd forget what was before a revision. */
  compact(revision: number): Promise<void>
  /** Ends the server at once, as a crash does; etcd stays. */
  kill(): Promise<void>
  /** The same port, the same data. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** `text`: v1.24.0. */
export type Version = { readonly major: number; readonly minor: number; readonly text: string }

/**
 * Starts `etcd` and `kube-apiserver` from a folder.
 *
 * What no kubelet, scheduler or controller takes care of here is turned off: the taint that a Node has until it is
 * ready, the ServiceAccount that each pod needs, and the EndpointSlice of the server itself.
 */
export async function startKubeApiServer(binaries: string): Promise<KubeApiServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'node-firewall-kube-apiserver-'))
  const { caFile, keyFile } = await makeCertificate(folder)
  const file = async (name: string, content: string) => {
    await writeFile(path.join(folder, name), content, { mode: 0o600 })
    return path.join(folder, name)
  }
  const keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()]
  const [etcdUrl, url] = [`http://127.0.0.1:${client}`, `https://127.0.0.1:${port}`]
  const etcdFlags = [
    `--data-dir=${path.join(folder, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    '--unsafe-no-fsync',
    '--log-level=error',
  ]
  const serverFlags = [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--tls-cert-file=${caFile}`,
    `--tls-private-key-file=${keyFile}`,
    `--cert-dir=${folder}`,
    `--service-account-issuer=${ISSUER}`,
    `--service-account-key-file=${await file('sa.pub', keys.publicKey)}`,
    `--service-account-signing-key-file=${await file('sa.key', keys.privateKey)}`,
    `--token-auth-file=${await file('tokens.csv', `${ADMIN},admin,admin,"system:masters"\n`)}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/24,fd00:96::/112',
    '--kubelet-preferred-address-types=InternalIP',
    '--endpoint-reconciler-type=none',
    '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
  ]
  const logFile = path.join(folder, 'log')
  const log = await open(logFile, 'a')
  const run = (binary: string, flags: readonly string[]) => {
    const child = spawn(path.join(binaries, binary), flags, { stdio: ['ignore', log.fd, log.fd] })
    // Else it would outlive a test run that is cut short.
    process.once('exit', () => child.kill('SIGKILL'))
    return child
  }
  const http = createHttp(url, caFile)
  const etcd = run('etcd', etcdFlags)
  let server: ChildProcess | undefined

  const kill = async () => end(server)
  const stop = async () => {
    await kill()
    await end(etcd)
    await log.close()
    await rm(folder, { recursive: true, force: true })
  }
  const start = async () => {
    server = run('kube-apiserver', serverFlags)
    try {
      await untilReady(server, async (path) => (await http.call('GET', path, { token: ADMIN })).status)
    } catch (cause) {
      const said = await readFile(logFile, 'utf8')
      await stop()
      throw new Error(`starting kube-apiserver: ${said.slice(-2000)}`, { cause })
    }
  }
  await start()
  const version = readVersion((await http.call('GET', '/version', { token: ADMIN })).text)
  const compact = async (revision: number) => {
    const body = JSON.stringify({ revision, physical: true })
    const answer = await fetch(`${etcdUrl}/v3/kv/compaction`, { method: 'POST', body })
    if (!answer.ok) throw new Error(`compacting etcd: ${await answer.text()}`)
  }
  return { url, caFile, adminToken: ADMIN, version, compact, start, kill, stop }
}

const ADMIN = 'token-admin'
const ISSUER = 'https://kubernetes.default.svc'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server that listens has an AddressInfo
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Ready for requests, and with the namespaces that it makes by itself. */
async function untilReady(server: ChildProcess, get: (path: string) => Promise<number>): Promise<void> {
  const namespaces = ['default', 'kube-system', 'kube-node-lease']
  for (const path of ['/readyz', ...namespaces.map((name) => `/api/v1/namespaces/${name}`)]) {
    while ((await get(path).catch(() => 0)) !== 200) {
      if (server.exitCode !== null) throw new Error(`kube-apiserver ended with ${server.exitCode}`)
      await sleep(50)
    }
  }
}

function readVersion(text: string): Version {
  const { gitVersion } = z.object({ gitVersion: z.string() }).parse(JSON.parse(text))
  const [, major = '0', minor = '0'] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? []
  return { major: Number(major), minor: Number(minor), text: gitVersion }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  // Nothing is worth saving, and an orderly end takes 10 s.
  child.kill('SIGKILL')
  await once(child, 'exit')
}
