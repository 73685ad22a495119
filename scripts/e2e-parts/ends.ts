import { execa } from 'execa'
import { createClient, inContainer, overSsh } from './client.ts'
import { createKubectlSite, removeAgents } from './kubectl-site.ts'
import type { Kubectl } from './kubectl.ts'
import type { Options } from './options.ts'
import { root } from './overlay.ts'
import { ownNamespace } from './props.ts'
import type { Site } from './site.ts'

/** With the image of the overlay, where no other one was named. */
type Chosen = Options & { readonly image: string }

type Ends = { readonly options: Chosen; readonly kubectl: Kubectl; readonly scratch: string }

/** Makes the image if it is to be made, and puts into the cluster what the phases need besides the agents. */
export async function openSite({
  options,
  signal,
  ...rest
}: Ends & { readonly signal: AbortSignal }): Promise<Site> {
  const { kindCluster, overlay, image } = options
  if (options.build && kindCluster !== undefined) {
    console.log(`e2e: making ${image} and loading it into kind`)
    const live = { cwd: root, stdio: 'inherit', cancelSignal: signal } as const
    await execa('docker', ['build', '--tag', image, '.'], live)
    await execa('kind', ['load', 'docker-image', image, '--name', kindCluster], live)
  }
  const { client: host, context, upgradeImage } = options
  // kind's own name for it, and the variable by which it can be another one.
  const network = process.env['KIND_EXPERIMENTAL_DOCKER_NETWORK'] ?? 'kind'
  const runBash =
    host !== undefined ? overSsh(host) : kindCluster !== undefined ? inContainer(image, network) : undefined
  const client = runBash === undefined ? undefined : createClient(runBash)
  const isClientFarAway = host !== undefined
  return createKubectlSite({
    ...rest,
    signal,
    context,
    overlay,
    image,
    upgradeImage,
    client,
    isClientFarAway,
  })
}

/** What somebody wants to know who was not there. */
export async function describeTrouble(kubectl: Kubectl): Promise<void> {
  const agents = ['--namespace', 'node-firewall']
  const label = ['--selector', 'app.kubernetes.io/name=node-firewall']
  const questions = [
    [
      'get',
      'nodes',
      '--output',
      `custom-columns=NODE:.metadata.name,STATE:${annotation('state')},MESSAGE:${annotation('message')}`,
    ],
    [...agents, 'get', 'pods', '--output', 'wide'],
    [...agents, 'logs', ...label, '--all-containers', '--prefix', '--tail', '20'],
  ]
  for (const args of questions) {
    const answer = await kubectl(args).catch(messageOf)
    console.log(`-- kubectl ${args.join(' ')}\n${answer}`)
  }
}

/** Takes everything away that this run has put into the cluster. */
export async function tidyUp({ options, kubectl, scratch }: Ends): Promise<void> {
  const isThere = await kubectl([
    'get',
    'namespace',
    'node-firewall',
    '--ignore-not-found',
    '--output',
    'name',
  ])
  if (isThere !== '') await removeAgents(kubectl, scratch, options.upgradeImage ?? options.image)
  await kubectl(['delete', 'namespace', ownNamespace, '--ignore-not-found', '--timeout=5m'])
}

function annotation(key: string): string {
  return `.metadata.annotations.node-firewall\\.io/${key}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
