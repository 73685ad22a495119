import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { parseDuration } from './duration.ts'
import { healthOption } from '../cli/options.ts'
import type { DeniedFlags } from './denied.ts'
import type { StatusFlags } from './status.ts'
import type { WaitFlags } from './wait.ts'

/** The commands that look at all nodes, for people and pipelines. They are loaded when they are called. */
export function addFleetCommands(
  program: Command,
  signal: AbortSignal,
  finish: (code: number) => void,
): void {
  const status = program
    .command('status')
    .description('show what nodes say of themselves; exit code 0 fine, 1 under way, 3 wrong, 4 not known')
    .argument('[node]', 'show all that this one says')
    .option('-w, --watch', 'show each change, until interrupted')
    .option('--json', 'print JSON')
    .action(async (node: string | undefined, flags: StatusFlags) => {
      const command = await import('./status.ts')
      finish(await command.status(node, flags, { signal }))
    })
  const wait = program
    .command('wait')
    .description('wait until nodes have rulesets in force; exit code 1 not in time, 3 if one will not')
    .requiredOption('--ruleset <path...>', 'all files or folders of the ConfigMap')
    .addOption(durationOption('--timeout <time>', 'how long').default(300_000, '5m'))
    .addOption(
      new Option('--for <state>', 'only this will do (default: either)').choices(['Enforcing', 'Auditing']),
    )
    .option('--ignore-missing', 'pass over nodes on which no agent has written a status')
    .action(async (flags: WaitFlags) => {
      const command = await import('./wait.ts')
      finish(await command.wait(flags, { signal }))
    })
  const denied = program
    .command('denied')
    .description(
      'show which flows rules that log deny: on a node of late, else of all nodes those denied most',
    )
    .argument('[node]', 'only of this one')
    .option('--json', 'print JSON')
    .addOption(healthOption())
    .action(async (node: string | undefined, flags: DeniedFlags) => {
      const command = await import('./denied.ts')
      finish(await command.denied(node, flags, { signal }))
    })
  for (const command of [status, wait, denied]) {
    command
      .option('-l, --selector <labels>', 'only nodes with these, as kubectl takes them')
      .option('--context <name>', 'context of the kubeconfig (default: the current one)')
      .addOption(durationOption('--stale-after <time>', 'who is silent for longer is stale (default: 30m)'))
  }
}

function durationOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const ms = parseDuration(text)
    if (ms === undefined) throw new InvalidArgumentError('expected a time, such as 90s, 5m or 1h30m')
    return ms
  })
}
