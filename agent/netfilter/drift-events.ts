import { baseChains, ourChainPattern } from './chain.ts'

const touchesOurs = new RegExp(
  `^(add|insert|replace|delete|destroy) ((rule|chain) ip6? filter (${baseChains.join('|')}|${ourChainPattern})( |$)|table ip6? filter$)`,
)
const generation = /^# new generation \d+ by process (\d+) \((.*)\)$/

/**
 * Reads `nft monitor` line by line and tells when a commit of somebody else touched what we guard. A commit's lines come first;
 * the line that names its generation, and the process that made it, ends them.
 *
 * @returns a function that takes one line and answers with the culprit, or nothing if the line ends no such commit
 */
export function createDriftReader(
  isOwnProcess: (pid: number) => boolean,
): (line: string) => string | undefined {
  let touched = false
  return (line) => {
    if (touchesOurs.test(line)) touched = true
    const [, pid, name] = generation.exec(line) ?? []
    if (pid === undefined || !touched) return undefined
    touched = false
    if (isOwnProcess(Number(pid))) return undefined
    return `${name} (pid ${pid})`
  }
}
