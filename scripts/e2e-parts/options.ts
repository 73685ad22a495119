import { parseArgs } from 'node:util'

export type Options = {
  readonly context: string
  /** Of kind, if it is such a cluster. */
  readonly kindCluster: string | undefined
  /** Folder in the checkout. */
  readonly overlay: string
  /** Absent: the one that the overlay names. */
  readonly image: string | undefined
  readonly upgradeImage: string | undefined
  readonly build: boolean
  /** A host that ssh reaches, and that is outside of the cluster. */
  readonly client: string | undefined
  readonly keep: boolean
}

export const usage = `usage: scripts/e2e --context NAME [options]

Deploys node-firewall to a cluster, changes its rules, breaks them, sends packets, upgrades and uninstalls it, and sees
that each does what it should. For clusters that are made for tests: rules change on all nodes while it runs.

  --context NAME        context of the kubeconfig; there is no default, so that nothing happens by accident
  --overlay FOLDER      what is deployed: manifests/overlays/kind on kind (context kind-*), else it must be named
  --image IMAGE         instead of the one that the overlay names
  --build               make that image here and load it into kind
  --upgrade-image IMAGE what the rolling update brings; without it the same image is started anew
  --client HOST         sends packets from there through ssh; on kind a container next to the nodes does
  --keep                when something fails, leave all as it is, to look at
  --help

Nothing is touched where the namespace node-firewall or node-firewall-e2e is there already. Exit code 0: all was as it
should be; 1: it was not; 2: refused.
`

export type Refusal = { readonly refused: string }

/** Reads the command line; undefined when only the usage is asked for. */
export function readOptions(args: readonly string[]): Options | Refusal | undefined {
  const parsed = tryParse(args)
  if ('refused' in parsed) return parsed
  const { values } = parsed
  if (values.help === true) return undefined
  const { context, image, client, 'upgrade-image': upgradeImage } = values
  if (context === undefined || context === '') {
    return { refused: '--context is missing: name the context of a cluster that is made for tests' }
  }
  const kindCluster = /^kind-(.+)$/.exec(context)?.[1]
  const overlay = values.overlay ?? (kindCluster === undefined ? undefined : 'manifests/overlays/kind')
  if (overlay === undefined)
    return { refused: '--overlay is missing: only on kind there is one to start from' }
  const build = values.build === true
  if (build && kindCluster === undefined) {
    return {
      refused: `--build loads an image into kind, and the context ${context} is none of kind's (kind-*)`,
    }
  }
  if (client?.startsWith('-') === true) return { refused: `--client: found "${client}", expected a host` }
  return { context, kindCluster, overlay, image, upgradeImage, build, client, keep: values.keep === true }
}

function tryParse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options })
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) }
  }
}

const options = {
  context: { type: 'string' },
  overlay: { type: 'string' },
  image: { type: 'string' },
  build: { type: 'boolean' },
  'upgrade-image': { type: 'string' },
  client: { type: 'string' },
  keep: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const
