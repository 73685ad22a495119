import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { watch } from 'chokidar'

export type FolderHandlers = {
  readonly onChange: (path: string) => void
  readonly onError: (error: unknown) => void
  /** From now on changes are seen; those made since the call may have been missed. */
  readonly onReady?: () => void
}

/**
 * Calls back on each change below a folder, with the path of what changed; the folder need not exist yet. The folder
 * itself is watched, not its files: a ConfigMap volume swaps the link `..data`, after which a watch on a file is dead.
 *
 * @returns a function that ends the watch
 */
export function watchFolder(
  folder: string,
  { onChange, onError, onReady = () => {} }: FolderHandlers,
): () => Promise<void> {
  const watcher = watch(folder, {
    ignoreInitial: true,
    followSymlinks: false,
    depth: 1,
    atomic: false, // it would hold events back for 100 ms
  })
  const data = join(folder, '..data')
  // The kubelet prepares a folder and then swaps the link: only the swap is a change, what comes before would
  // lead to a pass that the real one has to wait for.
  watcher.on('all', (_, path) => {
    if (path === data || !existsSync(data)) onChange(path)
  })
  watcher.on('error', onError)
  watcher.on('ready', onReady)
  return async () => watcher.close()
}
