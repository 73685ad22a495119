import { readlink } from 'node:fs/promises'

/** Whether this program, by the processes it starts, made a change that the kernel tells of. */
export type Author = 'this program' | 'perhaps this program' | 'somebody else'

/** The processes that were started from here lately. */
export type Started = {
  readonly add: (pid: number, program: string) => void
  /** Who a process is, by its number in the initial pid namespace and its name as in `/proc/<pid>/comm`. */
  readonly authorOf: (pid: number, name: string) => Author
}

/** A pass starts a dozen processes, and what they did is told within milliseconds. */
const remembered = 64

/** How long a process may take that has to wait for the xtables lock. */
const recentMs = 10_000

/** As long as the kernel keeps names of processes: TASK_COMM_LEN in include/linux/sched.h, less the byte at its end. */
const longestName = 15

/**
 * Remembers processes. Netfilter tells the number that a process has in the initial pid namespace (`task_pid_nr` in
 * net/netfilter/nf_tables_api.c). In another one, as in a container without the host's processes, numbers of our own
 * cannot be compared with it, and one of ours may be that of anybody: there a name that we have just used may be ours.
 *
 * @param knowsNumbers whether this process is in the initial pid namespace
 * @param now a clock in ms
 */
export function createStarted(knowsNumbers: boolean, now: () => number): Started {
  const started: { readonly pid: number; readonly name: string; readonly at: number }[] = []
  return {
    add(pid, program) {
      started.push({ pid, name: program.slice(0, longestName), at: now() })
      if (started.length > remembered) started.shift()
    },
    authorOf(pid, name) {
      if (knowsNumbers) return started.some((one) => one.pid === pid) ? 'this program' : 'somebody else'
      const since = now() - recentMs
      return started.some((one) => one.name === name && one.at >= since)
        ? 'perhaps this program'
        : 'somebody else'
    },
  }
}

/** Whether process numbers here are those that the kernel tells; it gives this namespace a fixed number. */
export async function isInInitialPidNamespace(): Promise<boolean> {
  return (await readlink('/proc/self/ns/pid')) === initialPidNamespace
}

/** PROC_PID_INIT_INO in include/linux/proc_ns.h: 0xeffffffc */
const initialPidNamespace = 'pid:[4026531836]'
