import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Stands before the command line of a process that runs as the container of a pod without privileges does: root, with
 * CAP_NET_ADMIN and CAP_NET_RAW at most and no way to more, in a pid namespace of its own, with system calls refused as
 * container runtimes do by default, and all files read-only but those named. AppArmor and SELinux are left out.
 *
 * @param writable files and folders, as volumes of the pod would be
 */
export function confinedTo(writable: readonly string[]): readonly [string, ...string[]] {
  const volumes = [...writable, '/run/xtables.lock']
  const script = [
    'touch /run/xtables.lock',
    'mount -o remount,bind,ro /',
    ...['/tmp', '/run', '/proc/sys'].map((path) => bind(path, 'ro')),
    ...volumes.map((path) => bind(path, 'rw')),
    `exec setpriv --no-new-privs --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all perl ${seccomp} "$@"`,
  ]
  const apart = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
  return ['unshare', ...apart, 'sh', '-ec', script.join('\n'), 'sh']
}

function bind(path: string, mode: 'ro' | 'rw'): string {
  return `mount --bind '${path}' '${path}' && mount -o remount,bind,${mode} '${path}'`
}

const seccomp = join(import.meta.dirname, 'seccomp.pl')

/** The process that was started behind that command line, once there is one: signals are for it. */
export function confinedPid(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
  if (!child) throw new Error(`process ${pid} has started nothing yet`)
  return Number(child)
}
