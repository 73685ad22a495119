import { annotationPrefix } from '../../agent/status/annotations.ts'
import { differences, dumpScript, ownLines } from './kernel.ts'
import { eachNode } from './phase.ts'
import type { Phase } from './phase.ts'

export const uninstall: Phase = {
  title: 'uninstall: nothing is left on any node',
  async run(stage) {
    const { site, before, tell } = stage
    await site.uninstall()
    const wrong = await eachNode(stage, async ({ name, annotations }) => {
      const dump = await site.onNode(name, dumpScript)
      const [line] = ownLines(dump)
      if (line !== undefined) return `left in the kernel: ${line}`
      for (const other of differences(before.get(name) ?? '', dump)) {
        tell(`   ${name}: not of node-firewall, and different from before: ${other}`)
      }
      const key = Object.keys(annotations).find((found) => found.startsWith(annotationPrefix))
      if (key !== undefined) return `left on the Node: the annotation ${key}`
      const [file] = await site.leftFiles(name)
      return file === undefined ? undefined : `left on the host: ${file}`
    })
    if (wrong !== undefined) throw new Error(wrong)
    return undefined
  },
}
