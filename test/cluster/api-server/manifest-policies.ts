import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import { BINDINGS, POLICIES } from './admission-resources.ts'
import { readDraft } from './objects.ts'
import type { Resource } from './resources.ts'
import type { Draft } from './store.ts'

const file = new URL('../../../manifests/base/admission.yaml', import.meta.url)

/** What manifests/base/admission.yaml puts into a cluster. */
export function readPolicies(): readonly { readonly resource: Resource; readonly draft: Draft }[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    const manifest: unknown = document.toJS()
    const draft = readDraft(manifest)
    const resource = [POLICIES, BINDINGS].find(({ kind }) => kind === draft?.['kind'])
    if (draft === undefined || resource === undefined)
      throw new Error(`no policy and no binding in ${file.pathname}: ${JSON.stringify(manifest)}`)
    return { resource, draft }
  })
}
