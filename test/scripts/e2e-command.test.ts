import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createClient, overSsh } from '../../scripts/e2e-parts/client.ts'
import { createKubectlSite } from '../../scripts/e2e-parts/kubectl-site.ts'
import { readOptions } from '../../scripts/e2e-parts/options.ts'
import { makeScratch, splitImage, writeOverlay } from '../../scripts/e2e-parts/overlay.ts'
import { makeProps } from '../../scripts/e2e-parts/props.ts'
import { lockOutRuleset, portRuleset, wrongRuleset } from '../../scripts/e2e-parts/rules.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { hasKubectl, kustomize, root } from '../manifests/kustomize.ts'
import { only } from '../manifests/manifest.ts'
import { findProblems } from '../manifests/schema.ts'

describe('the command line of scripts/e2e', () => {
  test.each([
    ['no context', [], '--context is missing'],
    ['an empty context', ['--context', ''], '--context is missing'],
    ['a context that is not kind’s, without an overlay', ['--context', 'prod'], '--overlay is missing'],
    ['an image for kind elsewhere', ['--context', 'prod', '--overlay', 'x', '--build'], "is none of kind's"],
    ['an option as a host', ['--context', 'kind-a', '--client=-oProxyCommand=x'], 'expected a host'],
    ['an option that is none', ['--context', 'kind-a', '--force'], "Unknown option '--force'"],
    ['a word too much', ['--context', 'kind-a', 'now'], 'Unexpected argument'],
  ])('refuses %s', (_, args, words) => {
    expect(readOptions(args)).toEqual({ refused: expect.stringContaining(words) as string })
  })

  test('takes kind by the name of its context', () => {
    const expected = {
      context: 'kind-a-b',
      kindCluster: 'a-b',
      overlay: 'manifests/overlays/kind',
      keep: false,
    }
    expect(readOptions(['--context', 'kind-a-b'])).toMatchObject(expected)
  })

  test('ends with 2 and asks nothing of any cluster without a context', async () => {
    const { exitCode, stderr, calls } = await runE2e([], 'exit 1')
    expect({ exitCode, calls }).toEqual({ exitCode: 2, calls: '' })
    expect(stderr).toContain('--context is missing')
  })

  test('prints its usage', async () => {
    const { exitCode, stdout, calls } = await runE2e(['--help'], 'exit 1')
    expect({ exitCode, calls }).toEqual({ exitCode: 0, calls: '' })
    expect(stdout).toContain('usage: scripts/e2e --context NAME')
  })

  test('leaves a cluster alone that has node-firewall already', async () => {
    const { exitCode, stderr, calls } = await runE2e(['--context', 'kind-a'], 'echo namespace/node-firewall')
    expect(exitCode).toBe(2)
    expect(stderr).toContain('has namespace/node-firewall already')
    expect(calls).toBe(
      '--context kind-a get namespace node-firewall node-firewall-e2e --ignore-not-found --output name\n',
    )
  })

  test.skipIf(!hasKubectl())('ends with 1 where there is no such context', async () => {
    const { exitCode, stderr } = await execa('scripts/e2e', ['--context', 'kind-nowhere'], {
      cwd: root,
      reject: false,
      env: { KUBECONFIG: '/dev/null' },
    })
    expect(exitCode).toBe(1)
    expect(stderr).toContain('kind-nowhere')
  })
})

/** Runs the script with a kubectl of a few words; `calls` is what it was asked. */
async function runE2e(args: readonly string[], kubectl: string) {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kubectl-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const [program, log] = [join(folder, 'kubectl'), join(folder, 'log')]
  await writeFile(log, '')
  await writeFile(program, `#!/bin/sh\necho "$*" >>${log}\n${kubectl}\n`)
  await chmod(program, 0o755)
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}` }
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [join(root, 'scripts', 'e2e.ts'), ...args],
    {
      env,
      reject: false,
    },
  )
  return { exitCode, stdout, stderr, calls: await readFile(log, 'utf8') }
}

describe('what is put into the cluster', () => {
  test.each(makeProps('example.org/image:1').map((prop) => [prop.kind, prop] as const))(
    '%s fits the schema of Kubernetes, with no unknown field',
    (_, prop) => {
      expect(findProblems(prop)).toEqual([])
    },
  )

  test.each([
    ['a port', portRuleset('edit', 'reject', 9), 0],
    ['a lock-out', lockOutRuleset('10.0.0.1'), 0],
    ['a lock-out over IPv6', lockOutRuleset('fd00::1'), 0],
    ['a mistake', wrongRuleset, 1],
  ])('the ruleset of %s', (_, text, errors) => {
    const { problems } = parseRulesets([{ path: 'e2e.yaml', bytes: Buffer.from(text) }])
    expect(problems.filter(({ severity }) => severity === 'error')).toHaveLength(errors)
  })

  test.each([
    ['example.org:5000/a/b:1.2', { newName: 'example.org:5000/a/b', newTag: '1.2' }],
    ['example.org:5000/a/b', { newName: 'example.org:5000/a/b', newTag: 'latest' }],
    ['a/b:1@sha256:0ab', { newName: 'a/b', digest: 'sha256:0ab' }],
  ])('the image %s', (image, expected) => {
    expect(splitImage(image)).toEqual(expected)
  })

  test
    .skipIf(!hasKubectl())
    .each(['manifests/overlays/lke', 'manifests/overlays/kind', 'manifests/uninstall'])(
    '%s with another image',
    async (folder) => {
      const scratch = await makeScratch()
      onTestFinished(() => rm(scratch, { recursive: true }))
      const manifests = await kustomize(await writeOverlay(scratch, folder, 'example.org/own:2'))
      const { containers, initContainers = [] } = only(manifests, 'DaemonSet').spec?.template.spec ?? {}
      for (const { image } of [...(containers ?? []), ...initContainers])
        expect(image).toBe('example.org/own:2')
    },
  )
})

describe('a cluster by kubectl', () => {
  test('is asked and told what the phases want', async () => {
    const scratch = await makeScratch()
    onTestFinished(() => rm(scratch, { recursive: true }))
    const calls: string[] = []
    const patches: string[] = []
    const address = (type: string, text: string) => ({ type, address: text })
    const addresses = [address('InternalIP', '10.0.0.1'), address('ExternalIP', '192.0.2.1')]
    const node = { metadata: { name: 'a' }, status: { addresses } }
    const kubectl = async (args: readonly string[]) => {
      const call = args.join(' ')
      calls.push(call.replaceAll(scratch, 'SCRATCH'))
      if (args.includes('patch')) patches.push(await readFile(args.at(-1) ?? '', 'utf8'))
      if (call.includes('get nodes')) return JSON.stringify({ items: [node] })
      if (call.includes('get configmap')) return JSON.stringify({ data: { 'a.yaml': 'text' } })
      if (call.includes('.status.podIP')) return '10.1.0.9'
      if (call.includes('nodePort')) return '30123'
      if (call.includes('get pods')) return 'pod/x\n'
      return call.includes('/proc/1/root') ? '/proc/1/root/run/node-firewall.lock\n' : ''
    }
    const fixed = { context: 'c', signal: new AbortController().signal, scratch, client: undefined }
    const images = { image: 'own:1', upgradeImage: 'own:2' }
    const overlay = 'manifests/overlays/lke'
    const site = await createKubectlSite({ kubectl, ...fixed, ...images, overlay, isClientFarAway: true })
    expect(site.server).toEqual({ podAddress: '10.1.0.9', nodePort: 30_123 })
    expect(await site.nodes()).toEqual([{ name: 'a', address: '192.0.2.1', annotations: {} }])
    expect(await site.readRules()).toEqual({ 'a.yaml': 'text' })
    calls.length = 0
    await site.putRules({ 'e2e.yaml': 'x' })
    await site.verify('a')
    await site.replaceAgents()
    expect(await site.leftFiles('a')).toEqual(['/proc/1/root/run/node-firewall.lock'])
    await site.uninstall()
    expect(patches).toEqual(['{"data":{"e2e.yaml":"x"}}'])
    const verbs = calls.map((call) =>
      call.replace(/(overlay|rules)-\w+/, '$1').replace(/ -- sh -c .*/, ' -- sh'),
    )
    const agents = '--namespace node-firewall'
    const pods = '--field-selector spec.nodeName=a --selector'
    expect(verbs).toEqual([
      `${agents} patch configmap/node-firewall-rules --type merge --patch-file SCRATCH/rules/patch.json`,
      `${agents} get pods ${pods} app.kubernetes.io/name=node-firewall --output name`,
      `${agents} exec pod/x --container agent -- node-firewall verify`,
      `${agents} set image daemonset/node-firewall agent=own:2`,
      `${agents} rollout status daemonset/node-firewall --timeout=10m`,
      `--namespace node-firewall-e2e get pods ${pods} app=witness --output name`,
      '--namespace node-firewall-e2e exec pod/x -- sh',
      'apply --kustomize SCRATCH/overlay',
      'wait --for=delete namespace/node-firewall --timeout=10m',
    ])
  })
})

describe('a client with bash alone', () => {
  const client = createClient((script) => ['bash', '-c', script])

  test('tells open from closed, and counts while it is hammering', async () => {
    const server = createServer((socket) => void socket.on('error', () => {}).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const open = { address: '127.0.0.1', port }
    expect(await client.reaches(open)).toBe(true)
    const closed = { address: '127.0.0.1', port: 9 }
    expect(await client.reaches(closed)).toBe(false)
    const traffic = await client.hammer([open, closed])
    const { passed, refused } = await traffic.stop()
    expect(passed).toBeGreaterThan(0)
    expect(refused).toBe(passed)
    await new Promise((resolve) => server.close(resolve))
  })

  test('takes nothing for an address that is none', async () => {
    await expect(client.reaches({ address: '127.0.0.1/$(id)', port: 1 })).rejects.toThrow(
      'expected an address',
    )
  })

  test('goes through the shell that ssh starts as it is', async () => {
    const script = `echo 'a  b' "$((1+1))" "it's"`
    const [program, ...args] = overSsh('host')(script)
    expect([program, ...args.slice(0, 3)]).toEqual(['ssh', '-o', 'BatchMode=yes', 'host'])
    const { stdout } = await execa('sh', ['-c', args.slice(3).join(' ')])
    expect(stdout).toBe("a  b 2 it's")
  })
})
