import { Command, CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import type { ProcessSignals } from '../daemon/agent-options.ts'
import { isExpected } from '../errors.ts'
import { addFleetCommands } from '../fleet/fleet-commands.ts'
import { addAgentCommand } from './agent-command.ts'
import { addFileCommands } from './file-commands.ts'
import { addNodeCommands } from './node-commands.ts'
import { UsageError } from './usage-error.ts'

const failureCode = 1
const usageCode = 2

/** Runs the command line; returns the exit code, 2 for what it does not understand. */
export async function runProgram(argv: readonly string[], signals: ProcessSignals): Promise<number> {
  let code = 0
  try {
    const program = createProgram(signals, (result) => (code = result))
    await program.parseAsync(argv)
    return code
  } catch (error) {
    // commander has printed what it has to say
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageCode
    if (!(error instanceof UsageError) && !isExpected(error)) throw error
    console.error(`error: ${error.message}`)
    return error instanceof UsageError ? usageCode : failureCode
  }
}

function createProgram(signals: ProcessSignals, finish: (code: number) => void): Command {
  const program = new Command('node-firewall')
    .description('The host firewall of Kubernetes nodes: rules from a ConfigMap, verified in the kernel.')
    .version(packageJson.version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command')
    .showHelpAfterError('(node-firewall help [command] explains)')
    .exitOverride()

  addAgentCommand(program, signals, finish)
  addFileCommands(program, finish)
  addNodeCommands(program, signals, finish)
  addFleetCommands(program, signals.stop, finish)

  program
    .command('version')
    .description('print the version')
    .action(() => console.log(packageJson.version))
  return program
}
