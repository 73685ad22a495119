import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Certificate } from './order.ts'

/** Makes a key and a certificate that is its own CA, for these names (`IP:192.0.2.2`, `DNS:example.test`). */
export async function createCertificate(
  folder: string,
  name: string,
  subjects: readonly string[],
): Promise<Certificate & { readonly file: string }> {
  const [keyFile, file] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile]
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${subjects.join(',')}`]
  await promisify(execFile)('openssl', ['req', '-x509', '-days', '2', ...key, '-out', file, ...names])
  return { file, key: await readFile(keyFile, 'utf8'), cert: await readFile(file, 'utf8') }
}
