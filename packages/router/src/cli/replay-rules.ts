import type { LfoConfig } from '../config/config.ts';
import type { Archive } from '../records/archive.ts';
import { RulesFileError, type RulesReplay, type RulesReplaySettings, tryRules } from '../app/try-rules.ts';
import { tableLines } from './table-text.ts';
import { CliError, coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Says what rules of a file would have changed on the requests that are stored; nothing is run and nothing enforced. */
export async function replayRules(
  terminal: Terminal,
  archive: Archive,
  config: LfoConfig,
  settings: RulesReplaySettings & { readonly json: boolean },
): Promise<number> {
  try {
    const replay = await tryRules(archive, config, settings);
    if (settings.json) printLine(terminal, JSON.stringify({ ...replay, rules: Object.fromEntries(replay.rules) }));
    else report(terminal, replay);
    return exitCodes.done;
  } catch (error) {
    throw error instanceof RulesFileError ? new CliError(error.message, exitCodes.usage) : error;
  }
}

function report(terminal: Terminal, { requests, untried, outcomes, rules }: RulesReplay): void {
  const colours = coloursFor(terminal);
  if (requests === 0) {
    terminal.errors.write('No request is recorded that fits.\n');
    return;
  }
  const rows = Array.from(rules, ([name, { matched, changed, untried: unknown }]) =>
    [name, matched, changed, unknown].map(String),
  );
  const heads = ['rule', 'matches', 'changes', 'untried'];
  for (const line of tableLines([heads, ...rows], [false, true, true, true])) printLine(terminal, line);
  const { to_local: local, to_cloud: cloud, other_backend: other, refused, same } = outcomes;
  printLine(terminal, '');
  printLine(
    terminal,
    `Of ${requests} requests ${same} stay as they were, ${local} would go to the local tier first, ${cloud} to the cloud first, ${other} to another backend, and ${refused} would be refused.`,
  );
  if (untried === 0) return;
  const why = 'headers and metadata are never stored, and text only with records.capture';
  printLine(terminal, colours.dim(`${untried} could not be tried against every rule: ${why}.`));
}
