import type { ApiError } from '../cluster/api-error.ts'
import type { ConfigMaps, ConfigMapsHandlers, ReadConfigMaps } from '../cluster/config-maps.ts'
import { digestSources, sourcesOf } from '../ruleset/folder.ts'
import { asksApi, chosenDigest, missApi, noTexts, seeApi, seeMount } from '../ruleset/newest-text.ts'
import type { Texts } from '../ruleset/newest-text.ts'
import type { SourceFile } from '../ruleset/parse.ts'
import type { Stop } from './watches.ts'

/** Where the text of a pass came from. */
export type Origin = 'mount' | 'api'

export type Sources = {
  /** The newest text that is known. */
  readonly read: () => Promise<readonly SourceFile[]>
  /** Of what `read` has returned last. */
  readonly origin: () => Origin
  /** Why the newest text may be another one, each a sentence. */
  readonly problems: () => readonly string[]
  readonly stop: Stop
}

export type SourcesOptions = {
  /** The folder in which the ConfigMaps are mounted. */
  readonly folder: string
  readonly readMount: () => Promise<readonly SourceFile[]>
  /** The same ConfigMaps through the API; absent: the mount is all there is. */
  readonly configMaps: ConfigMaps | undefined
  /** `read` would return something else now. */
  readonly onChange: () => void
  readonly onError: ConfigMapsHandlers['onError']
  /** How long the first `read` waits for the API: 2 s. */
  readonly introductionMs?: number
}

/**
 * The text of the mounted files or of the API, whichever is newer. The mount is where the agent falls back to while the
 * API server is away. An agent that starts first asks the API: its mount may be older than what is in force.
 */
export function createSources(options: SourcesOptions): Sources {
  const { folder, readMount, configMaps, onChange, onError, introductionMs = 2_000 } = options
  if (configMaps === undefined) {
    return { read: readMount, origin: () => 'mount', problems: () => [], stop: async () => {} }
  }
  const controller = new AbortController()
  let texts: Texts = noTexts
  let fromApi: readonly SourceFile[] = []
  let isAway = false
  let returned: Texts['chosen'] = 'mount'
  const { promise: introduced, resolve: introduce } = Promise.withResolvers<void>()

  const change = (next: Texts) => {
    const before = texts
    texts = next
    if (chosenDigest(next) !== chosenDigest(before)) onChange()
  }
  const see = ({ keys, missing, follows, asOf, changedAt = Infinity }: ReadConfigMaps) => {
    isAway = false
    const files = [...missing.map((name) => noConfigMap(folder, name)), ...filesOf(folder, keys, missing)]
    // Of a text that was there before, when it was written tells whether the mount may be behind it.
    const age = texts.shown.length === 0 ? Math.max(0, Date.now() - changedAt) : 0
    const at = configMaps.now() - age
    const next = seeApi(texts, { digest: digestSources(files), follows, asOf, at })
    if (next !== texts) fromApi = files
    change(next)
    introduce()
    if (asksApi(texts)) configMaps.look()
  }
  const miss = () => {
    isAway = true
    change(missApi(texts, configMaps.now()))
  }
  const seeFiles = (mounted: readonly SourceFile[]) => {
    // A mount that cannot be read, or was emptied since its ConfigMap is gone, says nothing new.
    const isBroken = mounted.some((file) => 'error' in file)
    if (isBroken && texts.shown.length > 0) return
    texts = seeMount(texts, digestSources(mounted), configMaps.now())
    if (!asksApi(texts)) return
    if (isAway) texts = missApi(texts, configMaps.now())
    configMaps.look()
  }
  const watch = async () => {
    seeFiles(await readMount())
    const timer = setTimeout(introduce, introductionMs)
    const fail = (error: ApiError) => {
      introduce()
      onError(error)
    }
    await configMaps.run({ onRead: see, onMiss: miss, onError: fail }, controller.signal)
    clearTimeout(timer)
  }
  const watching = watch()
  return {
    async read() {
      await introduced
      const mounted = await readMount()
      seeFiles(mounted)
      returned = texts.chosen
      return texts.chosen === 'api' ? fromApi : mounted
    },
    origin: () => returned,
    problems: () => (texts.unclear && isAway ? [unclear] : []),
    async stop() {
      controller.abort()
      await watching
    },
  }
}

const unclear =
  'the mounted ConfigMap has another text, and the API server cannot be asked which one is newer: what it showed last is used'

/** Rulesets of a ConfigMap that is gone are missed, not taken for removed: what is in force stays. */
function filesOf(
  folder: string,
  keys: ReadonlyMap<string, Uint8Array>,
  missing: readonly string[],
): readonly SourceFile[] {
  const files = sourcesOf(folder, keys)
  return missing.length === 0 ? files : files.filter((file) => 'bytes' in file)
}

function noConfigMap(folder: string, name: string): SourceFile {
  return {
    path: folder,
    error: `found no ConfigMap ${name}, expected it to be there; see --watch-configmaps`,
  }
}
