import type { Started } from '../host/started.ts'
import { baseChains, ourChainPattern } from './chain.ts'

const touchesOurs = new RegExp(
  `^(add|insert|replace|delete|destroy) ((rule|chain) ip6? filter (${baseChains.join('|')}|${ourChainPattern})( |$)|table ip6? filter$)`,
)
const generation =
  /^(?:# new generation \d+ by process (\d+) \((.*)\)|NEWGEN: GENID=\d+ PID=(\d+) NAME=(.*))$/
/** Of 1.8.9, and of 1.8.10 and later, which name the program. */
const touchesOursXtables = new RegExp(
  `^ EVENT: ((-[46]|ip6?tables) -t filter -[A-Z] (${baseChains.join('|')}|${ourChainPattern})( |$)|(# nft|nft: (NEW|DEL) chain): ip6? filter (${baseChains.join('|')}) |nft: DEL table: table filter ip)`,
)

/**
 * Reads `nft monitor`, or `xtables-monitor -e`, line by line and tells when a commit of somebody else touched what we
 * guard. A commit's lines come first; the line that names its generation, and the process that made it, ends them.
 *
 * @returns a function that takes one line and answers with the culprit, which is empty where it may have been this
 *   program, or with nothing if the line ends no such commit
 */
export function createDriftReader(authorOf: Started['authorOf']): (line: string) => string | undefined {
  let touched = false
  return (line) => {
    if (touchesOurs.test(line) || touchesOursXtables.test(line)) touched = true
    const [, nftPid, nftName, pid = nftPid, name = nftName ?? ''] = generation.exec(line) ?? []
    if (pid === undefined || !touched) return undefined
    touched = false
    const author = authorOf(Number(pid), name)
    if (author === 'this program') return undefined
    return author === 'perhaps this program' ? '' : `${name} (pid ${pid})`
  }
}
