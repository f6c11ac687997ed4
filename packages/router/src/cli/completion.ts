import type { Command } from 'commander';

/** Shells we complete for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof shells)[number];

/** A completion script made from the commands themselves, to be read by the shell at its start. */
export function completionScript(shell: Shell, program: Command): string {
  switch (shell) {
    case 'bash':
      return bash(program);
    case 'zsh':
      return `#compdef lfo\nautoload -U +X bashcompinit && bashcompinit\n${bash(program)}`;
    default:
      return fish(program);
  }
}

interface Entry {
  /** Names from the program down: `models pull`. Empty: the program itself. */
  readonly path: string;
  readonly words: readonly string[];
}

function entriesOf(command: Command, path: readonly string[] = []): Entry[] {
  const visible = command.createHelp().visibleCommands(command);
  const names = visible.map((each) => each.name());
  const flags = command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long }) => long ?? []);
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const own = { path: path.join(' '), words: [...names, ...choices, ...flags] };
  return [
    own,
    ...visible.filter((each) => each.name() !== 'help').flatMap((each) => entriesOf(each, [...path, each.name()])),
  ];
}

function bash(program: Command): string {
  const cases = entriesOf(program).map(({ path, words }) => `    "${path}") words="${words.join(' ')}" ;;`);
  return `_lfo() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || path="\${path:+$path }$word"
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _lfo lfo
`;
}

function fish(program: Command): string {
  const visible = program.createHelp().visibleCommands(program);
  const names = visible.map((each) => each.name()).join(' ');
  const lines = new Set<string>();
  for (const command of visible) {
    const inside = `complete -c lfo -f -n "__fish_seen_subcommand_from ${command.name()}"`;
    lines.add(`complete -c lfo -f -n "not __fish_seen_subcommand_from ${names}" -a ${described(command)}`);
    for (const sub of command.commands) lines.add(`${inside} -a ${described(sub)}`);
    for (const { long, description } of [command, ...command.commands].flatMap(({ options }) => options)) {
      if (typeof long === 'string') lines.add(`${inside} -l ${long.slice(2)} -d ${quote(description)}`);
    }
  }
  return `${[...lines].join('\n')}\n`;
}

function described(command: Command): string {
  return `${command.name()} -d ${quote(command.description())}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`;
}
