import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { parseRulesets } from '../../agent/ruleset/parse.ts'

const command = join(import.meta.dirname, '..', '..', 'agent', 'cli', 'import.ts')
const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name)

/** Runs the command in a process of its own; a usage error is exit code 2, as in the program. */
async function run(file: string, flags: object) {
  const code = `
    const { runImport } = await import(${JSON.stringify(command)})
    try {
      process.exitCode = await runImport(${JSON.stringify(file)}, ${JSON.stringify({ format: 'auto', ...flags })})
    } catch (error) {
      if (error.name !== 'UsageError') throw error
      console.error(error.message)
      process.exitCode = 2
    }`
  return execa(process.execPath, ['--input-type=module', '--eval', code], { reject: false })
}

test('what is not carried over: exit code 1, on stderr and at the head of the YAML', async () => {
  const file = fixture('bastion.iptables-save')
  const { exitCode, stdout, stderr } = await run(file, { name: 'bastion', external: ['eth0', 'bond+'] })
  expect(exitCode).toBe(1)
  expect(stderr).toContain(
    `${file}:24: not carried over: "-A INPUT -m conntrack --ctstate INVALID -j DROP": `,
  )
  for (const line of stderr.split('\n')) expect(stdout.split('\n')).toContain(`# ${line}`)
  const { rulesets } = parseRulesets([{ path: 'x', bytes: Buffer.from(stdout) }])
  expect(rulesets[0]).toMatchObject({ name: 'bastion', external: ['eth0', 'bond+'] })
})

test('all is carried over: exit code 0', async () => {
  expect(await run(fixture('open.sh'), {})).toMatchObject({ exitCode: 0 })
})

describe('usage errors: exit code 2', () => {
  test.each([
    ['no such file', 'nowhere', {}, /^reading nowhere: ENOENT/],
    ['a name that is none', fixture('lke.sh'), { name: 'Not A Label' }, /^--name: found "Not A Label"/],
    ['an interface that is none', fixture('lke.sh'), { external: ['eth0', ''] }, /^--external: found ""/],
  ])('%s', async (_, file, flags, message) => {
    const { exitCode, stdout, stderr } = await run(file, flags)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })
})
