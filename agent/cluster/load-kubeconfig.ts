import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import { parse } from 'yaml'
import * as z from 'zod'
import { findPlugin } from './exec-plugin.ts'

/**
 * The kubeconfig of a file, or else the one that kubectl would use: the files of `KUBECONFIG`, of which some may not be
 * there, or the one in the home folder, or the service account of a pod. Of several files the first that has something
 * to say counts, for each cluster, user and context and for which one is current; the library takes the last.
 */
export async function loadKubeconfig(file?: string): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js')
  const config = new KubeConfig()
  const files = file === undefined ? usualFiles() : [file]
  if (files.length === 0) {
    config.loadFromDefault()
    return config
  }
  const all = files.map((path) => fill(new KubeConfig(), path))
  config.loadFromOptions({
    clusters: firstOfEach(all.flatMap(({ clusters }) => clusters)),
    users: firstOfEach(all.flatMap(({ users }) => users)),
    contexts: firstOfEach(all.flatMap(({ contexts }) => contexts)),
    currentContext: all.map(({ currentContext }) => currentContext).find(Boolean),
  })
  return config
}

/** All of `KUBECONFIG` where none is there, so that the error names one. */
function usualFiles(): string[] {
  const listed = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter(Boolean)
  const there = (listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')]).filter((path) =>
    existsSync(path),
  )
  return there.length > 0 ? there : listed
}

function fill(kubeconfig: KubeConfig, file: string): KubeConfig {
  const text = readFileSync(file, 'utf8')
  if (text.trim() === '') return kubeconfig
  kubeconfig.loadFromString(text)
  kubeconfig.makePathsAbsolute(dirname(file))
  const tokenFiles = tokenFilesIn(text)
  kubeconfig.users = kubeconfig.users.map((user) => {
    const tokenFile = tokenFiles.get(user.name)
    if (tokenFile === undefined) return findPlugin(user, file)
    // The token beside it is the older one.
    const { token: _, ...rest } = user
    // What the library calls a file that it reads again and again.
    const config = { tokenFile: resolve(dirname(file), tokenFile) }
    return { ...rest, authProvider: { name: 'tokenFile', config } }
  })
  return kubeconfig
}

/** By the names of users. The library looks for `token-file`, which nobody writes. */
function tokenFilesIn(text: string): ReadonlyMap<string, string> {
  const { data } = kubeconfigShape.safeParse(parse(text))
  return new Map(
    (data?.users ?? []).flatMap(({ name, user }) => (user?.tokenFile ? [[name, user.tokenFile]] : [])),
  )
}

const kubeconfigShape = z.object({
  users: z
    .array(z.object({ name: z.string(), user: z.object({ tokenFile: z.string().nullish() }).nullish() }))
    .nullish(),
})

function firstOfEach<T extends { readonly name: string }>(all: readonly T[]): T[] {
  const byName = new Map<string, T>()
  for (const one of all) if (!byName.has(one.name)) byName.set(one.name, one)
  return [...byName.values()]
}
