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

/** Runs a command with the database of its configuration open. */
export type WithKeyStore = (command: Command, run: (context: KeysContext) => Promise<number>) => Promise<void>;

/** Adds `keys create|list|revoke`. */
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
        'what it opens: chat the API, admin the dashboard and metrics; device has no effect in this version',
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

function limitsOf(flags: CreateFlags): KeyLimits {
  const { requestsPerMinute, requestsPerDay, tokensPerMinute, tokensPerDay, usdPerMinute, usdPerDay, concurrency } =
    flags;
  return {
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(requestsPerDay !== undefined && { requestsPerDay }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(tokensPerDay !== undefined && { tokensPerDay }),
    ...(usdPerMinute !== undefined && { usdPerMinute }),
    ...(usdPerDay !== undefined && { usdPerDay }),
    ...(concurrency !== undefined && { concurrency }),
  };
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
