import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CiliumSettings } from '../bypass/dataplane.ts'
import { codeOf } from '../errors.ts'
import type { TargetPid } from './exec.ts'

/**
 * Reads how Cilium is set on this node, to be asked where its devices are: from the header that its BPF programs are
 * compiled with, which says what it came to after looking at the kernel, and else from what the agent was given.
 */
export async function readCiliumSettings(targetPid: TargetPid, proc = '/proc'): Promise<CiliumSettings> {
  const header = await readOptional(join(proc, String(targetPid), 'root', headerFile))
  const compiled = header === undefined ? {} : readHeader(header)
  if (compiled.replacesKubeProxy !== undefined && compiled.routesInBpf !== undefined) return compiled
  const configured = readOptions(await readAgentOptions(proc))
  return { ...configured, ...compiled }
}

/** RunDir, StateDir and GlobalsDir of pkg/defaults in Cilium; a hostPath in its DaemonSet. */
const headerFile = 'run/cilium/state/globals/node_config.h'

/**
 * HeaderfileWriter.WriteNodeConfig (pkg/datapath/linux/config) defines ENABLE_HOST_ROUTING only with kube-proxy
 * replacement, and ENABLE_NODEPORT also for masquerading alone.
 */
function readHeader(text: string): CiliumSettings {
  const defines = (name: string) => new RegExp(`^#define ${name}\\b`, 'm').test(text)
  if (defines('ENABLE_HOST_ROUTING')) return { replacesKubeProxy: true, routesInBpf: true }
  return defines('ENABLE_NODEPORT')
    ? { routesInBpf: false }
    : { replacesKubeProxy: false, routesInBpf: false }
}

type Options = ReadonlyMap<string, string>

/** What initKubeProxyReplacementOptions (daemon/cmd/kube_proxy_replacement.go in Cilium) makes of the options. */
function readOptions(options: Options): CiliumSettings {
  const isOn = (name: string, usual = false) => (options.get(name) ?? String(usual)) === 'true'
  const mode = options.get('kube-proxy-replacement')
  if (mode === undefined) return {}
  const full = mode === 'true' || mode === 'strict'
  // "partial" and "probe" of earlier versions leave it to other options, and to the kernel.
  const open = mode === 'partial' || mode === 'probe'
  const masquerades = isOn('enable-ipv4-masquerade', true) || isOn('enable-ipv6-masquerade', true)
  const mayRoute = !masquerades || isOn('enable-bpf-masquerade')
  const routes = (full || mode === 'probe') && mayRoute && !isOn('enable-host-legacy-routing')
  return {
    ...(open && !isOn('enable-node-port') ? {} : { replacesKubeProxy: full || isOn('enable-node-port') }),
    ...(mode === 'probe' && routes ? {} : { routesInBpf: routes }),
  }
}

/** Options of the process: each a file of its ConfigMap's copy, or an argument, which goes before. */
async function readAgentOptions(proc: string): Promise<Options> {
  const pid = await findProcess('cilium-agent', proc)
  if (pid === undefined) return new Map()
  const given = (await readOptional(join(proc, pid, 'cmdline'))) ?? ''
  const args = new Map(
    given.split('\0').flatMap((argument) => {
      const [, name, value = 'true'] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? []
      return name === undefined ? [] : [[name, value] as const]
    }),
  )
  const folder = join(proc, pid, 'root', args.get('config-dir') ?? '/tmp/cilium/config-map')
  const files = await Promise.all(
    optionNames.map(async (name) => [name, (await readOptional(join(folder, name)))?.trim()] as const),
  )
  const inFiles = files.filter((entry): entry is readonly [string, string] => entry[1] !== undefined)
  return new Map([...inFiles, ...args])
}

const optionNames = [
  'kube-proxy-replacement',
  'enable-node-port',
  'enable-host-legacy-routing',
  'enable-bpf-masquerade',
  'enable-ipv4-masquerade',
  'enable-ipv6-masquerade',
]

/** The number of the first process with this name. */
async function findProcess(name: string, proc: string): Promise<string | undefined> {
  const pids = (await readdir(proc)).filter((entry) => /^\d+$/.test(entry))
  for (const pid of pids) {
    const comm = await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '') // it may have ended
    if (comm.trimEnd() === name) return pid
  }
  return undefined
}

/** Undefined where there is no such file, or its process has ended. */
async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES'].includes(codeOf(error) ?? '')) return undefined
    throw error
  })
}
