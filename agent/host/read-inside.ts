import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'

/** As many links as the kernel follows. */
const mostLinks = 40

/**
 * Reads a file as a process whose root directory is `root` would. The kernel would take an absolute link, which
 * `/etc/resolv.conf` often is, for one in our own file system.
 *
 * @throws a system error when it cannot be read
 */
export async function readInside(root: string, path: string): Promise<string> {
  return readFile(await findInside(root, path), 'utf8')
}

/** Where a path of that process is to be found from here. */
export async function findInside(root: string, path: string): Promise<string> {
  const done: string[] = []
  const rest = partsOf(path)
  let links = 0
  for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
    const target = next === '..' ? undefined : await readlink(join(root, ...done, next)).catch(noLink)
    if (next === '..') done.pop()
    else if (target === undefined) done.push(next)
    else {
      links += 1
      if (links > mostLinks) break
      if (target.startsWith('/')) done.length = 0
      rest.unshift(...partsOf(target))
    }
  }
  return join(root, ...done)
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function noLink(error: unknown): undefined {
  if (codeOf(error) !== 'EINVAL') throw error
}
