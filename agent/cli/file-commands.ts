import { Option } from 'commander'
import type { Command } from 'commander'
import type { ExplainOptions } from './explain.ts'
import type { ImportFlags } from './import.ts'
import { lint } from './lint.ts'
import * as options from './options.ts'
import { render } from './render.ts'
import type { RenderOptions } from './render.ts'

/** Adds the commands that say what files mean; none of them changes anything. */
export function addFileCommands(program: Command, finish: (code: number) => void): void {
  program
    .command('lint')
    .description('check Ruleset files, or all in a folder; exit code 1 if there is any error')
    .argument('<path...>')
    .option('--json', 'print the problems as JSON', false)
    .action(async (paths: string[], flags: { json: boolean }) => finish(await lint(paths, flags)))

  aboutNode(program.command('render'))
    .description('print what would be restored on a node')
    .addOption(new Option('--family <family>', 'only this one').choices(['ipv4', 'ipv6']))
    .action(async (paths: string[], flags: RenderOptions) => finish(await render(paths, flags)))

  aboutNode(program.command('explain'))
    .description('say what becomes of a connection, and why; or who reaches what')
    .option('--from <address>', 'who opens it')
    .option('--to <address>', 'whom it is addressed to')
    .option('--proto <protocol>', 'name or number (default: tcp)')
    .option('--port <port>', 'the port that the client used')
    .option('--source-port <port>', 'the port it comes from')
    .option('--icmp-type <type>', 'name, number or type/code')
    .option('--in <interface>', 'where it comes in (default: the first external one)')
    .option('--out <interface>', 'where it goes out')
    .addOption(
      new Option('--via <way>', 'answered by the node itself, or translated').choices(['direct', 'nodePort']),
    )
    .option('--egress', 'opened by the node, or by a pod with --endpoint pods')
    .addOption(new Option('--endpoint <kind>', 'whose connection it is').choices(['node', 'pods']))
    .option('--matrix', 'who reaches which port of the node')
    .addOption(
      new Option('--expect <action>', 'fail unless this is the verdict').choices([
        'accept',
        'drop',
        'reject',
      ]),
    )
    .option('--json', 'print JSON')
    .action(async (paths: string[], flags: ExplainOptions) => {
      const { explain } = await import('./explain.ts')
      finish(await explain(paths, flags))
    })

  program
    .command('import')
    .description('turn an existing firewall into a Ruleset; tells each line that cannot be carried over')
    .argument('<file>')
    .addOption(
      new Option('--format <format>', 'what the file is')
        .choices(['auto', 'script', 'iptables-save', 'ufw', 'calico'])
        .default('auto'),
    )
    .option('--name <name>', 'name of the ruleset')
    .addOption(options.interfacesOption())
    .action(async (file: string, flags: ImportFlags) => {
      const { runImport } = await import('./import.ts')
      finish(await runImport(file, flags))
    })
}

/** Files, and what is to be known of the node that they are for. */
function aboutNode(command: Command): Command {
  return command
    .argument('<path...>')
    .option('--node <file>', 'the Node, as "kubectl get node NAME -o yaml" prints it')
    .addOption(options.interfacesOption())
    .addOption(options.liveOption())
    .addOption(options.stateDirOption())
    .option(
      '--set <name=addresses>',
      'what a set of the cluster holds: nodes, apiServers, podCIDRs',
      options.collect,
    )
}
