import { access, mkdir, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'
import { bootFile, bootScriptFile } from './boot-restore.ts'
import { findInside } from './read-inside.ts'
import { removeTemporaries, replaceDurably } from './sealed-file.ts'

/** Where systemd looks for units of the machine's owner (systemd.unit(5)). */
export const defaultUnitFolder = '/etc/systemd/system'

export const bootUnit = 'node-firewall-restore.service'

/** `systemctl enable` would make the same link; without it the next start finds the unit all the same. */
const link = join('sysinit.target.wants', bootUnit)

/**
 * Puts the unit into the host's folder of units and enables it for the next start. Nothing is written when it is
 * there already. Rejects with the error of the system call that failed.
 *
 * @param stateFolder of the host, as the host calls it
 * @returns whether anything was written
 */
export async function installBootUnit(unitFolder: string, stateFolder: string): Promise<boolean> {
  const file = join(unitFolder, bootUnit)
  await removeTemporaries(unitFolder, [bootUnit]).catch(nothingThere)
  const text = bootUnitText(stateFolder)
  const isWritten = (await readFile(file, 'utf8').catch(nothingThere)) !== text
  if (isWritten) await replaceDurably(file, [Buffer.from(text)])
  const target = join('..', bootUnit)
  if ((await readlink(join(unitFolder, link)).catch(nothingThere)) === target) return isWritten
  await mkdir(join(unitFolder, 'sysinit.target.wants'), { recursive: true })
  await rm(join(unitFolder, link), { force: true })
  await symlink(target, join(unitFolder, link))
  return true
}

/** Whether systemd has started the host that a process runs on: by the folder that sd_booted(3) looks for. */
export async function isStartedBySystemd(pid: number, proc = '/proc'): Promise<boolean> {
  try {
    await access(await findInside(join(proc, String(pid), 'root'), '/run/systemd/system'))
    return true
  } catch (error) {
    nothingThere(error)
    return false
  }
}

/** Takes the unit away again; resolves to whether there was one. */
export async function removeBootUnit(unitFolder: string): Promise<boolean> {
  await removeTemporaries(unitFolder, [bootUnit]).catch(nothingThere)
  const files = [link, bootUnit].map((name) => join(unitFolder, name))
  const removed = await Promise.all(
    files.map(async (file) => {
      try {
        await rm(file)
        return true
      } catch (error) {
        if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return false
        throw error
      }
    }),
  )
  return removed.includes(true)
}

/**
 * Ordered after everybody else who loads rules at the start, since some of them begin with a flush, and before any
 * interface is configured (systemd.special(7), network-pre.target). What is not installed does not delay it.
 */
export function bootUnitText(stateFolder: string): string {
  return `# Written by node-firewall, and removed by "node-firewall clean".
[Unit]
Description=Last confirmed rules of node-firewall
DefaultDependencies=no
RequiresMountsFor=${stateFolder}
ConditionPathExists=${join(stateFolder, bootFile)}
After=local-fs.target systemd-modules-load.service
After=nftables.service iptables.service ip6tables.service netfilter-persistent.service ipset.service ufw.service firewalld.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
ExecStart=/bin/sh ${join(stateFolder, bootScriptFile)}

[Install]
WantedBy=sysinit.target
`
}

function nothingThere(error: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR', 'EINVAL'].includes(codeOf(error) ?? '')) throw error
}
