import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder that stands first in PATH: what is put there is found before the real programs, until it is removed. */
export async function createShims() {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-shims-'))
  return {
    folder,
    env: { PATH: `${folder}:${process.env['PATH']}` },
    async put(name: string, script: string): Promise<void> {
      await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`)
      await chmod(join(folder, name), 0o755)
    },
    remove: async () => rm(folder, { recursive: true, force: true }),
  }
}
