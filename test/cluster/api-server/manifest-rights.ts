import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'

const FILES = ['base/rbac.yaml', 'components/api-watch/rbac.yaml']

/** The account of the agents and what it may do, as the manifests have it with the component that each overlay has. */
export function readRights(): readonly unknown[] {
  return FILES.flatMap((file) => {
    const text = readFileSync(new URL(`../../../manifests/${file}`, import.meta.url), 'utf8')
    return parseAllDocuments(text).map((document): unknown => document.toJS())
  })
}
