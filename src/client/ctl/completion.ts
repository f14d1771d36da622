import type { Command } from 'commander'

/** One verb as completion sees it; path '' is the program itself, 'table dump' a verb of a noun. */
interface Node {
  readonly path: string
  /** Verbs, or values of its argument. */
  readonly words: ReadonlyArray<{ readonly word: string; readonly summary: string }>
  /** Has verbs of its own. */
  readonly isNoun: boolean
  readonly options: readonly string[]
  /** Options that take a value. */
  readonly valued: readonly string[]
  /** The verb that prints the possible values of its argument. */
  readonly printer: string | undefined
}

/** Verbs that print names of allocations and of VMs, for the scripts only. */
export const namesVerb = '__names'
export const vmsVerb = '__vms'

export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const nodes = walk(program, '')
  return shell === 'bash' ? bash(nodes) : zsh(nodes)
}

function walk(command: Command, path: string): Node[] {
  const visible = command.commands.filter(child => !child.name().startsWith('__'))
  const options = command.options.filter(option => option.long && !option.hidden)
  const own: Node = {
    path,
    words: [
      ...visible.map(child => ({ word: child.name(), summary: child.description() })),
      ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
        argChoices.map(word => ({ word, summary: description })),
      ),
    ],
    isNoun: visible.length > 0,
    options: [...options.map(option => option.long!), '--help'],
    valued: options
      .filter(option => option.required)
      .flatMap(({ long, short }) => [long!, ...(short ? [short] : [])]),
    printer: printerFor(command),
  }
  return [
    own,
    ...visible.flatMap(child => walk(child, path === '' ? child.name() : `${path} ${child.name()}`)),
  ]
}

function printerFor(command: Command): string | undefined {
  const takes = (name: string) => command.registeredArguments.some(argument => argument.name() === name)
  if (takes('vm')) return vmsVerb
  return takes('name') && command.name() !== 'allocate' ? namesVerb : undefined
}

/** Shell lines that set path, the verb so far, from words[1..current-1]. */
function pathFinder(nodes: readonly Node[], array: string, current: string, first: number): string {
  const wordAt = `\${${array}[i]}`
  const valued = [...new Set(nodes.flatMap(node => node.valued))].join('|')
  const nouns = nodes.filter(node => node.path !== '' && node.isNoun).map(node => `'${node.path}'`)
  return `  local place='' skip='' i
  for ((i = ${first}; i < ${current}; i++)); do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case "${wordAt}" in
      --) return ;;
      ${valued}) skip=1 ;;
      -*) ;;
      *)
        case "$place" in
          '') place="${wordAt}" ;;
          ${nouns.join('|')}) place="$place ${wordAt}" ;;
        esac ;;
    esac
  done
  [[ -n $skip ]] && return`
}

function bash(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, words, options, printer }) => {
    const all = [...words.map(({ word }) => word), ...options].join(' ')
    return `    '${path}') candidates='${all}'${printer === undefined ? '' : ` names=${printer}`} ;;`
  })
  return `# bash completion for broker-ctl; made by: broker-ctl completion bash
_broker_ctl() {
  COMPREPLY=()
  local current="\${COMP_WORDS[COMP_CWORD]}" candidates='' names=''
${pathFinder(nodes, 'COMP_WORDS', 'COMP_CWORD', 1)}
  case "$place" in
${cases.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
  if [[ -n $names && $current != -* ]]; then
    local name
    while IFS= read -r name; do
      [[ $name == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
    done < <(broker-ctl "$names" 2>/dev/null)
  fi
}
complete -o default -F _broker_ctl broker-ctl
`
}

function zsh(nodes: readonly Node[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
  const cases = nodes.map(({ path, words, options, printer }) => {
    const described = words
      .map(({ word, summary }) => quoted(`${word}:${summary.replaceAll(':', '\\:')}`))
      .join(' ')
    const lines = [
      words.length > 0 ? `verbs=(${described}); _describe -t verbs verb verbs` : '',
      `compadd -- ${options.join(' ')}`,
      printer === undefined ? '' : `compadd -- \${(f)"$(broker-ctl ${printer} 2>/dev/null)"}`,
    ]
    return `    '${path}') ${lines.filter(line => line !== '').join('; ')} ;;`
  })
  return `#compdef broker-ctl
# zsh completion for broker-ctl; made by: broker-ctl completion zsh
_broker_ctl() {
  local -a verbs
${pathFinder(nodes, 'words', 'CURRENT', 2)}
  case "$place" in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _broker_ctl ]]; then _broker_ctl "$@"; else compdef _broker_ctl broker-ctl; fi
`
}
