import { Argument, type Command } from 'commander'
import { completionScript, namesVerb, vmsVerb } from '../completion'
import { printable } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'
import { vmDirectory, vmNames } from '../vm/settings'

export function addCompletion(program: Command): void {
  addVerb(program, {
    usage: 'completion',
    summary: 'Print a completion script for a shell',
    examples: [
      'completion bash > /etc/bash_completion.d/broker-ctl',
      'completion zsh > /usr/local/share/zsh/site-functions/_broker-ctl',
    ],
  })
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh']))
    .action((shell: 'bash' | 'zsh') => void process.stdout.write(completionScript(program, shell)))

  program.command(namesVerb, { hidden: true }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal }) => {
      for await (const { name } of broker.list({ signal })) {
        // Leaves out a name that could change the meaning for the shell.
        if (printable(name) === name) process.stdout.write(`${name}\n`)
      }
    }),
  )
  program.command(vmsVerb, { hidden: true }).action(() => {
    for (const name of vmNames(vmDirectory())) process.stdout.write(`${name}\n`)
  })
}
