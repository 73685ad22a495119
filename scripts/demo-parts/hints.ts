import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeAddress } from '../../test/sandbox/sandbox.ts'
import type { Stage } from './stage.ts'

/** How to play with a demo that is left running, from another terminal. */
export async function playHints({ sandbox, folder, statusFile }: Stage): Promise<string> {
  const enter = await enterCommand()
  const { node, internet } = sandbox
  return `
It runs until you press Ctrl-C. In another terminal, as the same user:

enter a host
  node       ${enter(node.pid)} bash
  internet   ${enter(internet.pid)} bash
  private    ${enter(sandbox.private.pid)} bash
knock at SSH from the internet (nothing is printed when it opens)
  ${enter(internet.pid)} bash -c ': > /dev/tcp/${nodeAddress.ipv4}/22'
edit the rules; the agent follows as soon as they are saved
  \${EDITOR:-vi} ${join(folder, '..data', 'own.yaml')}
watch the status that the Node would carry
  watch --interval 1 cat ${statusFile}
watch the rules and their counters
  ${enter(node.pid)} watch --interval 1 iptables-nft -vnL node-firewall
break them, and see them return
  ${enter(node.pid)} iptables-nft -F node-firewall
`
}

/** Who runs this in a user namespace has to enter that one first. */
async function enterCommand(): Promise<(pid: number) => string> {
  const isInitial = /^\s*0\s+0\s+4294967295\s*$/.test(await readFile('/proc/self/uid_map', 'utf8'))
  const user = isInitial ? '' : ' --user --preserve-credentials'
  return (pid) => `nsenter --target ${pid}${user} --net --`
}
