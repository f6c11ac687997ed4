import { type Command, InvalidArgumentError, Option } from 'commander';

import type { KeyLimits, Scope } from '../core/identity.ts';
import type { Mode } from '../core/request.ts';
import type { KeysContext } from './keys.ts';

interface CreateFlags {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly mode: Mode;
  readonly model?: readonly string[];
  readonly expires?: string;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  readonly usdPerMinute?: number;
  readonly usdPerDay?: number;
  readonly concurrency?: number;
}

type SetFlags = Pick<CreateFlags, 'name' | 'model' | 'expires'> & {
  readonly mode?: Mode;
} & { readonly [Name in keyof KeyLimits]?: KeyLimits[Name] | 'none' };

/** Runs a command with the database of its configuration open. */
export type WithKeyStore = (command: Command, run: (context: KeysContext) => Promise<number>) => Promise<void>;

/** Adds `keys create|list|set|revoke`. */
export function addKeys(program: Command, withKeyStore: WithKeyStore): void {
  const keys = program
    .command('keys')
    .description('keys for people and programs')
    .addHelpText('after', '\nExample:\n  lfo keys create --name laptop');
  keys
    .command('create')
    .description('make a key and show it, once')
    .requiredOption('--name <name>', 'who or what it is for')
    .addOption(
      new Option(
        '--scope <scope...>',
        'what it opens: chat the API, admin the dashboard and metrics; device nothing: devices join by pairing',
      )
        .choices(['chat', 'admin', 'device'])
        .default(['chat']),
    )
    .addOption(
      new Option('--mode <mode>', 'where its requests may run').choices(['auto', 'local', 'cloud']).default('auto'),
    )
    .option('--model <id...>', 'the only models it may name, aliases included (default: all)')
    .option('--expires <when>', 'such as 12h, 30d or 2027-01-31 (default: never)')
    .option('--requests-per-minute <n>', 'limit', whole)
    .option('--requests-per-day <n>', 'limit', whole)
    .option('--tokens-per-minute <n>', 'limit, prompt and completion together', whole)
    .option('--tokens-per-day <n>', 'limit, prompt and completion together', whole)
    .option('--usd-per-minute <amount>', 'limit of what cloud answers cost', money)
    .option('--usd-per-day <amount>', 'limit of what cloud answers cost', money)
    .option('--concurrency <n>', 'limit of requests at once', whole)
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo keys create --name ci --mode local --requests-per-minute 60 --expires 30d')
    .action(async (flags: CreateFlags, command: Command) => {
      const { createKey } = await import('./keys.ts');
      const { name, scope, mode, expires } = flags;
      const order = { name, scope, mode, model: flags.model ?? [], limits: limitsOf(flags) };
      await withKeyStore(command, (context) =>
        createKey(expires === undefined ? order : { ...order, expires }, context),
      );
    });
  keys
    .command('list')
    .description('every key, without its secret')
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo keys list --json')
    .action(async (_flags, command: Command) => {
      const { listKeys } = await import('./keys.ts');
      await withKeyStore(command, listKeys);
    });
  keys
    .command('set')
    .description('change what a key may do and use; running routers know within a second')
    .requiredOption('--name <id-or-name>', 'of which key')
    .option('--requests-per-minute <n>', 'limit, or none', orNone(whole))
    .option('--requests-per-day <n>', 'limit, or none', orNone(whole))
    .option('--tokens-per-minute <n>', 'limit, or none', orNone(whole))
    .option('--tokens-per-day <n>', 'limit, or none', orNone(whole))
    .option('--usd-per-minute <amount>', 'limit, or none', orNone(money))
    .option('--usd-per-day <amount>', 'limit, or none', orNone(money))
    .option('--concurrency <n>', 'limit, or none', orNone(whole))
    .addOption(new Option('--mode <mode>', 'where its requests may run').choices(['auto', 'local', 'cloud']))
    .option('--model <id...>', 'the only models it may name; all for all')
    .option('--expires <when>', 'such as 12h, 30d or 2027-01-31; never for never')
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo keys set --name ci --requests-per-day 500 --usd-per-day none')
    .action(async (flags: SetFlags, command: Command) => {
      const { setKey } = await import('./keys.ts');
      const { name, mode, model, expires } = flags;
      const options = {
        limits: limitsOf(flags),
        ...(mode !== undefined && { mode }),
        ...(model !== undefined && { model }),
        ...(expires !== undefined && { expires }),
      };
      await withKeyStore(command, (context) => setKey(name, options, context));
    });
  keys
    .command('revoke')
    .description('end a key; running routers know within a second')
    .argument('<id-or-name>')
    .option('--forget', 'also delete revoked keys; with none left at all, loopback needs no key again')
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo keys revoke laptop')
    .action(async (idOrName: string, flags: { readonly forget?: boolean }, command: Command) => {
      const { revokeKey } = await import('./keys.ts');
      await withKeyStore(command, (context) => revokeKey(idOrName, flags.forget === true, context));
    });
}

const limitNames = [
  'requestsPerMinute',
  'requestsPerDay',
  'tokensPerMinute',
  'tokensPerDay',
  'usdPerMinute',
  'usdPerDay',
  'concurrency',
] as const satisfies readonly (keyof KeyLimits)[];

/** Of those that were given. */
function limitsOf<Limit extends number | 'none'>(flags: { readonly [Name in keyof KeyLimits]?: Limit }): {
  readonly [Name in keyof KeyLimits]?: Limit;
} {
  return Object.fromEntries(limitNames.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}

/** Commander takes `null` for a missing value, so the word stands for itself. */
function orNone<Value>(parse: (text: string) => Value): (text: string) => Value | 'none' {
  return (text) => (text === 'none' ? text : parse(text));
}

function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('Give a whole number of at least 1.');
}

function money(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('Give an amount such as 0.50.');
}
