import { chmodSync, constants, copyFileSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Archive } from '../records/archive.ts';
import type { Clock } from '../core/clock.ts';
import type { RequestsSettings } from './requests.ts';
import type { LfoConfig } from '../config/config.ts';
import type { ReplayGoal } from './replay.ts';
import { parseSince } from './since.ts';
import type { StatsDimension } from './stats.ts';
import { CliError, exitCodes, printLine, type Terminal } from './terminal.ts';

/** What the commands on records work with. */
export interface ArchiveContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly archive: Archive;
  readonly json: boolean;
  readonly config: LfoConfig;
}

/** Runs a command with the records of its configuration open. */
export type WithArchive = (command: Command, run: (context: ArchiveContext) => Promise<number>) => Promise<void>;

interface RequestFlags {
  readonly since?: number;
  readonly route?: string;
  readonly reason?: string;
  readonly backend?: string;
  readonly status?: number;
  readonly key?: string;
  readonly model?: string;
  readonly outcome?: NonNullable<RequestsSettings['filter']['outcome']>;
  readonly limit: number;
  readonly format?: RequestsSettings['format'];
  readonly json?: boolean;
  readonly follow?: boolean;
}

const dayMs = 86_400_000;

/** Adds `stats`, `requests` and `db backup|vacuum|migrate`. They read the database itself: LFO need not run. */
export function addRecords(program: Command, clock: Clock, withArchive: WithArchive): void {
  const since = new Option('--since <when>', 'such as 30m, 24h, 7d or 2027-01-31').argParser((text) => {
    const sinceMs = parseSince(text, clock.wallMs());
    if (sinceMs === undefined) throw new InvalidArgumentError('Give a time such as 30m, 24h, 7d or 2027-01-31.');
    return sinceMs;
  });
  program
    .command('stats')
    .description('requests, local share, tokens, money and percentiles of the last day')
    .addOption(since)
    .addOption(new Option('--by <dimension>', 'the same for each').choices(['key', 'model', 'backend', 'device']))
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExamples:\n  lfo stats\n  lfo stats --by key\n  lfo stats --since 7d --by model --json')
    .action(async (flags: { readonly since?: number; readonly by?: StatsDimension }, command: Command) => {
      const { stats } = await import('./stats.ts');
      const { since: sinceMs = clock.wallMs() - dayMs, by } = flags;
      await withArchive(command, async ({ terminal, archive, json }) => {
        const names = by === 'key' ? await archive.keyNames() : new Map<string, string>();
        return stats(terminal, archive, names, { sinceMs, json, ...(by !== undefined && { by }) });
      });
    });
  program
    .command('requests')
    .description('recorded requests, the newest first, refused ones included; or one of them with its decision')
    .argument('[id]', 'as in x-request-id, or the short one of the list')
    .addOption(since)
    .addOption(new Option('--route <tier>', 'answered by').choices(['local', 'cloud']))
    .option('--reason <code>', 'decisive reason, such as low_confidence')
    .option('--backend <name>', 'answered by')
    .option('--key <name>', 'of this key')
    .option('--model <id>', 'answered by')
    .option('--status <code>', 'as the client saw it', whole)
    .addOption(
      new Option('--outcome <outcome>', 'what became of them').choices([
        'ok',
        'failed',
        'refused',
        'left',
        'degraded',
        'escalated',
      ]),
    )
    .option('--limit <n>', 'at most', whole, 20)
    .option('-f, --follow', 'show requests as they end, until Ctrl-C')
    .addOption(
      new Option('--format <format>', 'csv is safe to open in a spreadsheet').choices(['table', 'json', 'csv']),
    )
    .option('--json', 'the same as --format json: one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  lfo requests --follow\n  lfo requests 3f9a1c20\n  lfo requests --reason low_confidence --since 24h\n  lfo requests --since 30d --limit 1000000 --format csv > requests.csv',
    )
    .action(async (id: string | undefined, flags: RequestFlags, command: Command) => {
      const { followRequests, request, requests } = await import('./requests.ts');
      if (id !== undefined) {
        return withArchive(command, ({ terminal, archive, json }) => request(terminal, archive, id, json));
      }
      const { since: sinceMs, route, reason, backend, status, key, model, outcome, limit, follow } = flags;
      const filter = {
        ...(sinceMs === undefined ? {} : { sinceMs }),
        ...(route === undefined ? {} : { route }),
        ...(reason === undefined ? {} : { reason }),
        ...(backend === undefined ? {} : { backend }),
        ...(status === undefined ? {} : { status }),
        ...(key === undefined ? {} : { key }),
        ...(model === undefined ? {} : { model }),
        ...(outcome === undefined ? {} : { outcome }),
      };
      await withArchive(command, ({ terminal, archive, json }) => {
        const settings = { filter, limit, format: flags.format ?? (json ? 'json' : 'table') };
        return follow === true
          ? followRequests(terminal, archive, settings, clock)
          : requests(terminal, archive, settings);
      });
    });
  addLearning(program, clock, withArchive, since);
  addDatabase(program, withArchive);
}

function addLearning(program: Command, clock: Clock, withArchive: WithArchive, since: Option): void {
  const monthMs = 30 * dayMs;
  program
    .command('calibrate')
    .description('learn from labelled answers on record how far the scores can be believed')
    .addOption(since)
    .option('--dry-run', 'only say what would come of it')
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo calibrate --since 30d --dry-run')
    .action(async (flags: { readonly since?: number; readonly dryRun?: boolean }, command: Command) => {
      const { calibrateCommand } = await import('./calibrate.ts');
      await withArchive(command, ({ terminal, archive, config, json }) =>
        calibrateCommand(terminal, archive, config, {
          sinceMs: flags.since ?? clock.wallMs() - monthMs,
          dryRun: flags.dryRun === true,
          json,
        }),
      );
    });
  program
    .command('replay')
    .description('what another threshold, goal or rules would have done to the requests on record')
    .addOption(since)
    .option('--threshold <score>', 'between 0 and 1', share)
    .option('--goal <name=target>', 'cloud_share, quality or risk', replayGoal)
    .option('--rules <file>', 'rules to try: YAML with `rules:`, as under `routing` in lfo.yaml')
    .option('--limit <n>', 'with --rules: requests at most, the newest', whole, 100_000)
    .option('--json', 'JSON for scripts')
    .addHelpText(
      'after',
      '\nExamples:\n  lfo replay --threshold 0.6\n  lfo replay --goal quality=0.95 --since 7d\n  lfo replay --rules new-rules.yaml',
    )
    .action(async (flags: ReplayFlags, command: Command) => {
      const { threshold, goal, rules, since: sinceMs, limit } = flags;
      if ([threshold, goal, rules].filter((one) => one !== undefined).length !== 1)
        throw new CliError('Give either --threshold, --goal or --rules.', exitCodes.usage);
      if (rules !== undefined) {
        const { replayRules } = await import('./replay-rules.ts');
        const filter = sinceMs === undefined ? {} : { sinceMs };
        return withArchive(command, ({ terminal, archive, config, json }) =>
          replayRules(terminal, archive, config, { file: resolve(terminal.cwd, rules), filter, limit, json }),
        );
      }
      const { replayCommand } = await import('./replay.ts');
      await withArchive(command, ({ terminal, archive, json }) => {
        const nowMs = clock.wallMs();
        return replayCommand(terminal, archive, {
          sinceMs: flags.since ?? nowMs - monthMs,
          nowMs,
          threshold,
          goal,
          json,
        });
      });
    });
}

interface ReplayFlags {
  readonly since?: number;
  readonly threshold?: number;
  readonly goal?: ReplayGoal;
  readonly rules?: string;
  readonly limit: number;
}

function share(text: string): number {
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('Give a number between 0 and 1.');
}

function replayGoal(text: string): ReplayGoal {
  const [, name, target = ''] = /^(cloud_share|quality|risk)=(\d*\.?\d+)$/.exec(text) ?? [];
  if ((name !== 'cloud_share' && name !== 'quality' && name !== 'risk') || Number(target) > 1)
    throw new InvalidArgumentError('Give cloud_share, quality or risk with a number, such as quality=0.95.');
  return { name, target: Number(target) };
}

function addDatabase(program: Command, withArchive: WithArchive): void {
  const db = program
    .command('db')
    .description('the database of records and keys')
    .addHelpText('after', '\nExample:\n  lfo db backup lfo-backup.db');
  db.command('backup')
    .description('copy the SQLite database as it is now; LFO may run meanwhile')
    .argument('<file>', 'a file that does not exist yet')
    .addHelpText('after', '\nExample:\n  lfo db backup lfo-backup.db')
    .action((file: string, _options, command: Command) =>
      withArchive(command, async ({ terminal, archive, config }) => {
        const copy = resolve(terminal.cwd, file);
        await archive.backup(copy);
        printLine(terminal, `Copied to ${file}.`);
        if (copyRouterKey(config.dataDir, copy))
          printLine(terminal, `The key that paired devices know this router by: ${file}.router.key. Keep it secret.`);
        return exitCodes.done;
      }),
    );
  db.command('vacuum')
    .description('give the room of deleted rows back to the file system')
    .addHelpText('after', '\nExample:\n  lfo db vacuum')
    .action((_options, command: Command) =>
      withArchive(command, async ({ terminal, archive }) => {
        await archive.vacuum();
        printLine(terminal, 'Done.');
        return exitCodes.done;
      }),
    );
  db.command('migrate')
    .description('bring the schema up to date, as a start of LFO does unless database_migrate is off')
    .addHelpText('after', '\nExample:\n  DATABASE_URL=postgresql://lfo@db/lfo lfo db migrate')
    .action((_options, command: Command) =>
      withArchive(command, async ({ terminal, archive }) => {
        printLine(terminal, `The schema is up to date (${await archive.migrate()}).`);
        return exitCodes.done;
      }),
    );
}

/** Without its key a router that is restored would be a stranger to every device. False where there is none yet. */
function copyRouterKey(dataDir: string, copy: string): boolean {
  const key = join(dataDir, 'fleet', 'router.key');
  if (!existsSync(key)) return false;
  const target = `${copy}.router.key`;
  copyFileSync(key, target, constants.COPYFILE_EXCL);
  chmodSync(target, 0o600);
  return true;
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,11}$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}
