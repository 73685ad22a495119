/**
 * Reads `ip -oneline monitor link address route` line by line, and tells of what can change the facts of a node: an
 * address, a default route, or a device that comes, goes, or is switched on or off. What only renews a lifetime, as
 * every router advertisement does, changes nothing; nor do the devices, routes and link-local addresses that come and
 * go with each pod.
 *
 * @returns a function that takes one line and answers whether the facts may have changed
 */
export function createNetworkReader(): (line: string) => boolean {
  const present = new Map<string, string>()
  return (line) => {
    const isDeleted = line.startsWith('Deleted ')
    const text = isDeleted ? line.slice('Deleted '.length) : line
    const seen = readDevice(text) ?? readOther(text)
    if (seen === undefined) return false
    const state = isDeleted ? 'gone' : seen.state
    if (present.get(seen.what) === state) return false
    present.set(seen.what, state)
    return true
  }
}

type Seen = { readonly what: string; readonly state: string }

const isDefaultRoute = /^default /
const isAddress = /^\d+: \S+ +inet6? (?!fe[89ab])/

/** Pairs of Ethernet ends are those of pods; they name the other end, as tunnels of IP in IP do. */
function readDevice(line: string): Seen | undefined {
  const { name, peer, flags = '' } = devicePattern.exec(line)?.groups ?? {}
  if (name === undefined || (peer !== undefined && line.includes('link/ether'))) return undefined
  return { what: `device ${name}`, state: flags.split(',').includes('UP') ? 'up' : 'down' }
}

const devicePattern = /^\d+: (?<name>[^ :@]+)(?:@(?<peer>\S+))?: <(?<flags>[^>]*)>/

function readOther(line: string): Seen | undefined {
  const what = line
    .replace(/\\.*$/, '')
    .replace(/ expires \S+/, '')
    .trim()
  return isDefaultRoute.test(what) || isAddress.test(what) ? { what, state: 'there' } : undefined
}
