import { readdir, readFile, readlink } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { parse } from 'yaml'
import * as z from 'zod'
import { codeOf } from '../errors.ts'
import type { TargetPid } from './exec.ts'
import { findInside, readInside } from './read-inside.ts'

/** A kubelet that runs on this node; one that is started anew is another one, also where it gets the same number. */
export type Kubelet = {
  readonly pid: number
  readonly args: readonly string[]
  /** In ticks since the machine started (proc_pid_stat(5)); absent: unknown. */
  readonly startedAt?: string
}

/** What it is told of its cluster, as far as that could be read. */
export type KubeletSettings = {
  /** The API server, as its kubeconfig names it. */
  readonly server?: URL
  /** Where it tells its pods to ask for names; the first is asked first. */
  readonly clusterDns: readonly string[]
}

/**
 * Finds the kubelet in the network namespace of a process; undefined where none has a process of its own, as in k3s.
 * Looks at all processes.
 */
export async function findKubelet(targetPid: TargetPid, proc = '/proc'): Promise<Kubelet | undefined> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  const kubelets = await Promise.all(pids.map(async (pid) => ((await isKubelet(proc, pid)) ? [pid] : [])))
  // In a test cluster nodes are containers, so that several kubelets are on one machine.
  const network = await networkOf(proc, String(targetPid))
  for (const pid of kubelets.flat()) {
    if (network === undefined || (await networkOf(proc, pid)) !== network) continue
    const line = await readFile(join(proc, pid, 'cmdline'), 'utf8').catch(() => '')
    const startedAt = await startOf(proc, pid)
    const args = line.split('\0').slice(1)
    return { pid: Number(pid), args, ...(startedAt === undefined ? {} : { startedAt }) }
  }
  return undefined
}

/** Whether that process is still there, and a kubelet. */
export async function isStillKubelet({ pid, startedAt }: Kubelet, proc = '/proc'): Promise<boolean> {
  return (await isKubelet(proc, String(pid))) && (await startOf(proc, String(pid))) === startedAt
}

/**
 * Reads the files that its command line names, in its own file system. The kubeconfig has no other place; whoever is
 * not given one serves no cluster. Of it nothing is taken but the server. What cannot be read is left out.
 */
export async function readKubeletSettings({ pid, args }: Kubelet, proc = '/proc'): Promise<KubeletSettings> {
  const root = join(proc, String(pid), 'root')
  const read = async (path: string | undefined) => readYaml(root, path)
  const server = serverIn(await read(flagOf(args, 'kubeconfig')))
  const given = flagOf(args, 'cluster-dns')?.split(',')
  const files = [flagOf(args, 'config'), ...(await dropIns(root, flagOf(args, 'config-dir')))]
  const configs = await Promise.all(files.map(read))
  const listed = configs.map(dnsIn).findLast((addresses) => addresses.length > 0)
  const clusterDns = (given ?? listed ?? []).filter((address) => isIP(address) !== 0)
  return { ...(server === undefined ? {} : { server }), clusterDns }
}

async function isKubelet(proc: string, pid: string): Promise<boolean> {
  const name = await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '')
  return name.trimEnd() === 'kubelet'
}

/** The 22nd field; the second one is a name in brackets, in which anything may be. */
async function startOf(proc: string, pid: string): Promise<string | undefined> {
  const line = await readFile(join(proc, pid, 'stat'), 'utf8').catch(() => '')
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19]
}

async function networkOf(proc: string, pid: string): Promise<string | undefined> {
  return readlink(join(proc, pid, 'ns', 'net')).catch(() => undefined)
}

/** `--name=value` or `--name value`; the last one counts. */
function flagOf(args: readonly string[], name: string): string | undefined {
  const values = args.flatMap((arg, index) => {
    if (arg === `--${name}`) return args[index + 1] ?? []
    return arg.startsWith(`--${name}=`) ? arg.slice(name.length + 3) : []
  })
  return values.at(-1)
}

/** Files that are laid over the configuration, in the order of their names. */
async function dropIns(root: string, folder: string | undefined): Promise<string[]> {
  if (folder === undefined) return []
  const names = await findInside(root, folder)
    .then(async (found) => readdir(found))
    .catch(ofSystem)
  return (names ?? [])
    .filter((name) => name.endsWith('.conf'))
    .toSorted()
    .map((name) => join(folder, name))
}

async function readYaml(root: string, path: string | undefined): Promise<unknown> {
  // What is said of the folder that it was started in does not hold for us.
  if (path === undefined || !path.startsWith('/')) return undefined
  const text = await readInside(root, path).catch(ofSystem)
  try {
    return text === undefined ? undefined : parse(text)
  } catch {
    return undefined
  }
}

function ofSystem(error: unknown): undefined {
  if (codeOf(error) === undefined) throw error
}

const kubeconfigShape = z.object({
  'current-context': z.string().optional(),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string() }) })).nullish(),
  clusters: z.array(z.object({ name: z.string(), cluster: z.object({ server: z.string() }) })),
})

function serverIn(value: unknown): URL | undefined {
  const { data } = kubeconfigShape.safeParse(value)
  if (data === undefined) return undefined
  const context = data.contexts?.find(({ name }) => name === data['current-context'])
  const [first] = data.clusters
  const cluster = data.clusters.find(({ name }) => name === context?.context.cluster) ?? first
  return cluster !== undefined && URL.canParse(cluster.cluster.server)
    ? new URL(cluster.cluster.server)
    : undefined
}

const configShape = z.object({ clusterDNS: z.array(z.string()).nullish() })

function dnsIn(value: unknown): readonly string[] {
  return configShape.safeParse(value).data?.clusterDNS ?? []
}
