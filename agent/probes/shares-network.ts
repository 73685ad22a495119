import { readlink } from 'node:fs/promises'
import type { TargetPid } from '../host/exec.ts'

/**
 * Whether this process is in the network namespace of another one: TCP, HTTP and DNS probes say nothing about the
 * node's rules when it is not. See network_namespaces(7).
 *
 * @throws the error of the system call when /proc/PID/ns cannot be read.
 */
export async function sharesNetworkWith(targetPid: TargetPid): Promise<boolean> {
  const [own, other] = await Promise.all(
    ['self', targetPid].map(async (pid) => readlink(`/proc/${pid}/ns/net`)),
  )
  return own === other
}
