import { chmod, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** All programs of this machine as links in one folder, which is the whole PATH: so that one can be missing. */
export async function createTools() {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-tools-'))
  const files = new Map<string, string>()
  for (const path of (process.env['PATH'] ?? '').split(':')) {
    for (const name of await readdir(path).catch(() => [])) {
      if (!files.has(name)) files.set(name, join(path, name))
    }
  }
  await Promise.all([...files].map(async ([name, file]) => symlink(file, join(folder, name))))
  const take = async (name: string) => rm(join(folder, name), { force: true })
  return {
    env: { PATH: folder },
    take,
    /** Puts a script in the place of a program. */
    async replace(name: string, script: string): Promise<void> {
      const temporary = join(folder, `${name}.new`)
      await writeFile(temporary, `#!/bin/sh\n${script}\n`)
      await chmod(temporary, 0o755)
      await take(name)
      await symlink(temporary, join(folder, name))
    },
    async giveBack(name: string): Promise<void> {
      await take(name)
      await symlink(files.get(name) ?? '', join(folder, name))
    },
    remove: async () => rm(folder, { recursive: true, force: true }),
  }
}

export type Tools = Awaited<ReturnType<typeof createTools>>

/** What can be wrong with a program, and how the agent, which waits a second for it, says so. */
export const ailments: Readonly<Record<string, { readonly script?: string; readonly complaint: string }>> = {
  'is missing': { complaint: 'No such file or directory' },
  hangs: { script: 'sleep 600; true', complaint: 'no end after 1 s' },
  fails: { script: 'echo "no memory" >&2; exit 4', complaint: 'exit status 4: no memory' },
  'prints garbage': { script: String.raw`printf '[{"garbage\000\377\n*filter\n[{}]\n'`, complaint: '' },
}

export async function makeAiling(tools: Tools, name: string, ailment: string): Promise<void> {
  const script = ailments[ailment]?.script
  await (script === undefined ? tools.take(name) : tools.replace(name, script))
}
