import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from './until.ts'

/**
 * Waits until the agent watches its rules and follows netfilter: of what happens before that, it would
 * learn only from its next regular pass.
 */
export async function untilAttentive(agentPid: number, networkPid: number): Promise<void> {
  await until('the agent watches the rules', async () => (await watchesFiles(agentPid)) || undefined)
  await untilFollowers(networkPid, 2) // the stopwatch, and the agent
}

/** See proc_pid_fdinfo(5): an inotify file lists what it watches. */
async function watchesFiles(pid: number): Promise<boolean> {
  const folder = join('/proc', String(pid), 'fdinfo')
  // A file may be closed between the listing and the reading.
  const infos = (await readdir(folder)).map(async (name) =>
    readFile(join(folder, name), 'utf8').catch(() => ''),
  )
  return (await Promise.all(infos)).some((info) => info.includes('inotify wd:'))
}

const netfilterProtocol = 12
const rulesetChanges = 1 << 6 // NFNLGRP_NFTABLES

/** Waits until so many sockets are told of changes of netfilter; proc_net(5) lists them with their groups. */
export async function untilFollowers(networkPid: number, wanted: number): Promise<void> {
  await until(`${wanted} programs follow netfilter`, async () => {
    const sockets = (await readFile(`/proc/${networkPid}/net/netlink`, 'utf8')).split('\n').slice(1)
    const followers = sockets.filter((socket) => {
      const [, protocol, , groups = ''] = socket.split(/\s+/)
      return Number(protocol) === netfilterProtocol && (Number.parseInt(groups, 16) & rulesetChanges) !== 0
    })
    return followers.length >= wanted || undefined
  })
}
