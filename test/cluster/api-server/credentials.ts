import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

/** The files by which a client finds and trusts the server, as a pod and as kubectl have them. */
export type CredentialFiles = {
  readonly caFile: string
  readonly key: Buffer
  readonly certificate: Buffer
  readonly serviceAccountDir: string
  readonly kubeconfigFile: string
  writeToken(token: string): Promise<void>
  writeKubeconfig(url: string, token: string): Promise<void>
  remove(): Promise<void>
}

/** @param addresses that the certificate is good for, besides those of loopback. */
export async function createCredentialFiles(addresses: readonly string[] = []): Promise<CredentialFiles> {
  const folder = await mkdtemp(path.join(tmpdir(), 'node-firewall-api-server-'))
  const { caFile, keyFile } = await makeCertificate(folder, addresses)
  const certificate = await readFile(caFile)
  const serviceAccountDir = path.join(folder, 'serviceaccount')
  const kubeconfigFile = path.join(folder, 'kubeconfig')
  await mkdir(serviceAccountDir)
  for (const name of ['token', 'ca.crt', 'namespace']) {
    await symlink(path.join('..data', name), path.join(serviceAccountDir, name))
  }
  let generation = 0
  return {
    caFile,
    key: await readFile(keyFile),
    certificate,
    serviceAccountDir,
    kubeconfigFile,
    /** As the kubelet does it: a new folder, then one rename of the link to it. */
    async writeToken(token) {
      generation += 1
      const name = `..generation.${generation}`
      const next = path.join(serviceAccountDir, name)
      await mkdir(next)
      await writeFile(path.join(next, 'token'), token)
      await writeFile(path.join(next, 'ca.crt'), certificate)
      await writeFile(path.join(next, 'namespace'), 'node-firewall')
      await symlink(name, path.join(serviceAccountDir, '..data_tmp'))
      await rename(path.join(serviceAccountDir, '..data_tmp'), path.join(serviceAccountDir, '..data'))
    },
    async writeKubeconfig(url, token) {
      await writeFile(kubeconfigFile, kubeconfig(url, caFile, token))
    },
    remove: async () => {
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** One certificate that vouches for itself. Node.js can read certificates and not make them. */
export async function makeCertificate(
  folder: string,
  addresses: readonly string[] = [],
): Promise<{ caFile: string; keyFile: string }> {
  const caFile = path.join(folder, 'ca.crt')
  const keyFile = path.join(folder, 'server.key')
  const names = ['127.0.0.1', '::1', ...addresses].map((address) => `IP:${address}`)
  const extension = ['-addext', `subjectAltName=${['DNS:localhost', ...names].join(',')}`]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const args = ['req', '-x509', ...curve, '-keyout', keyFile, '-out', caFile]
  try {
    await promisify(execFile)('openssl', [...args, '-subj', '/CN=test', '-days', '2', ...extension])
  } catch (cause) {
    throw new Error('making a certificate for the test API server: the openssl command is needed', { cause })
  }
  return { caFile, keyFile }
}

/** The text of a kubeconfig. */
export function kubeconfig(url: string, caFile: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority': caFile } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  })
}
