import { join } from 'node:path'
import { execa } from 'execa'
import * as z from 'zod'
import type { Client } from './client.ts'
import type { Kubectl } from './kubectl.ts'
import { root, writeFiles, writeOverlay } from './overlay.ts'
import { makeProps, ownNamespace } from './props.ts'
import type { Site, SiteNode } from './site.ts'

export type KubectlSiteOptions = {
  readonly kubectl: Kubectl
  readonly context: string
  readonly signal: AbortSignal
  readonly scratch: string
  readonly overlay: string
  readonly image: string
  readonly upgradeImage: string | undefined
  readonly client: Client | undefined
  /** Nodes are dialled by their public addresses, where they have any. */
  readonly isClientFarAway: boolean
}

const agents = ['--namespace', 'node-firewall']
const daemonSet = 'daemonset/node-firewall'
const configMap = 'configmap/node-firewall-rules'
const patience = '--timeout=10m'
/** On a host: manifests/base/daemonset.yaml, and the unit of the component boot-restore. */
const keptOnHosts = [
  '/var/lib/node-firewall',
  '/run/node-firewall.lock',
  '/etc/systemd/system/node-firewall-restore.service',
]

const nodeList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), annotations: z.record(z.string(), z.string()).default({}) }),
      status: z.object({
        addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]),
      }),
    }),
  ),
})
const rules = z.object({ data: z.record(z.string(), z.string()).default({}) })

/** A cluster as kubectl reaches it. The witnesses and the server are there when it resolves. */
export async function createKubectlSite(options: KubectlSiteOptions): Promise<Site> {
  const { kubectl, scratch, client } = options
  const folder = await writeOverlay(scratch, options.overlay, options.image)
  const podOn = async (node: string, namespace: readonly string[], label: string) => {
    const on = ['--field-selector', `spec.nodeName=${node}`, '--selector', label, '--output', 'name']
    const [pod] = (await kubectl([...namespace, 'get', 'pods', ...on])).split('\n')
    if (pod === undefined || pod === '') throw new Error(`${node} has no pod with ${label}`)
    return pod
  }
  const onNode = async (node: string, script: string) => {
    const own = ['--namespace', ownNamespace]
    return kubectl([...own, 'exec', await podOn(node, own, 'app=witness'), '--', 'sh', '-c', script])
  }
  const rolledOut = async () => void (await kubectl([...agents, 'rollout', 'status', daemonSet, patience]))
  return {
    onNode,
    client,
    server: await putProps(kubectl, options.image),
    async deploy() {
      await kubectl(['apply', '--kustomize', folder])
      await rolledOut()
    },
    async nodes() {
      const linux = ['--selector', 'kubernetes.io/os=linux', '--output', 'json']
      const { items } = nodeList.parse(JSON.parse(await kubectl(['get', 'nodes', ...linux])))
      return items.map((node) => toSiteNode(node, options.isClientFarAway))
    },
    async readRules() {
      return rules.parse(JSON.parse(await kubectl([...agents, 'get', configMap, '--output', 'json']))).data
    },
    async putRules(changes) {
      const written = await writeFiles(scratch, { 'patch.json': JSON.stringify({ data: changes }) })
      const patch = ['--type', 'merge', '--patch-file', join(written, 'patch.json')]
      await kubectl([...agents, 'patch', configMap, ...patch])
    },
    async waitFor(files) {
      const paths = ['--ruleset', await writeFiles(scratch, files)]
      const args = ['wait', ...paths, '--context', options.context, '--timeout', '10m']
      const main = join(root, 'agent', 'main.ts')
      await execa(process.execPath, [main, ...args], { stdin: 'ignore', cancelSignal: options.signal })
    },
    async verify(node) {
      const pod = await podOn(node, agents, 'app.kubernetes.io/name=node-firewall')
      await kubectl([...agents, 'exec', pod, '--container', 'agent', '--', 'node-firewall', 'verify'])
    },
    async replaceAgents() {
      const { upgradeImage } = options
      await (upgradeImage === undefined
        ? kubectl([...agents, 'rollout', 'restart', daemonSet])
        : kubectl([...agents, 'set', 'image', daemonSet, `agent=${upgradeImage}`]))
      await rolledOut()
    },
    async uninstall() {
      await removeAgents(kubectl, scratch, options.upgradeImage ?? options.image)
    },
    async leftFiles(node) {
      const paths = keptOnHosts.map((path) => `/proc/1/root${path}`).join(' ')
      const found = await onNode(
        node,
        `for file in ${paths}; do if [ -e "$file" ]; then echo "$file"; fi; done`,
      )
      return found.split('\n').filter((path) => path !== '')
    },
  }
}

/** Uninstalls, and resolves when the namespace is gone, which is when every node is clean. */
export async function removeAgents(
  kubectl: Kubectl,
  scratch: string,
  image: string | undefined,
): Promise<void> {
  await kubectl(['apply', '--kustomize', await writeOverlay(scratch, 'manifests/uninstall', image)])
  await kubectl(['wait', '--for=delete', 'namespace/node-firewall', patience])
}

/** The image of the agent in an overlay. */
export async function imageOf(kubectl: Kubectl, folder: string): Promise<string> {
  const image = /^ +image: (\S+)$/m.exec(await kubectl(['kustomize', folder]))?.[1]
  if (image === undefined) throw new Error(`${folder} names no image`)
  return image
}

async function putProps(kubectl: Kubectl, image: string): Promise<Site['server']> {
  const list = { apiVersion: 'v1', kind: 'List', items: makeProps(image) }
  await kubectl(['apply', '--filename', '-'], JSON.stringify(list))
  const own = ['--namespace', ownNamespace]
  for (const what of ['daemonset/witness', 'deployment/server']) {
    await kubectl([...own, 'rollout', 'status', what, patience])
  }
  const pod = ['get', 'pods', '--selector', 'app=server', '--output', 'jsonpath={.items[0].status.podIP}']
  const podAddress = await kubectl([...own, ...pod])
  const port = ['get', 'service/server', '--output', 'jsonpath={.spec.ports[0].nodePort}']
  return { podAddress, nodePort: Number(await kubectl([...own, ...port])) }
}

function toSiteNode(
  { metadata, status }: z.infer<typeof nodeList>['items'][number],
  isFar: boolean,
): SiteNode {
  const { name, annotations } = metadata
  const of = (type: string) => status.addresses.find((address) => address.type === type)?.address
  const address = (isFar ? of('ExternalIP') : undefined) ?? of('InternalIP')
  if (address === undefined) throw new Error(`the Node ${name} has no address`)
  return { name, annotations, address }
}
