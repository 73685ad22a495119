/**
 * Reads `ip -oneline monitor address route` line by line, and tells of what can change the facts of a node: an
 * address, or a default route. What only renews a lifetime, as every router advertisement does, changes nothing; nor do
 * the routes and link-local addresses that come and go with each pod.
 *
 * @returns a function that takes one line and answers whether the facts may have changed
 */
export function createNetworkReader(): (line: string) => boolean {
  const present = new Map<string, boolean>()
  return (line) => {
    const isDeleted = line.startsWith('Deleted ')
    const what = withoutLifetime(isDeleted ? line.slice('Deleted '.length) : line)
    if (!isDefaultRoute.test(what) && !isAddress.test(what)) return false
    if (present.get(what) === !isDeleted) return false
    present.set(what, !isDeleted)
    return true
  }
}

const isDefaultRoute = /^default /
const isAddress = /^\d+: \S+ +inet6? (?!fe[89ab])/

function withoutLifetime(line: string): string {
  return line
    .replace(/\\.*$/, '')
    .replace(/ expires \S+/, '')
    .trim()
}
