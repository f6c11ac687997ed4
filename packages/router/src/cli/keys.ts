import type { Clock } from '../core/clock.ts';
import type { KeyLimits, Scope } from '../core/identity.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { isInForce, type ManagedKey } from '../keys/managed-key.ts';
import type { Mode } from '../core/request.ts';
import { CliError, coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Options of `keys create`, as commander parsed them. */
export interface CreateOptions {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly mode: Mode;
  readonly model: readonly string[];
  readonly expires?: string;
  readonly limits: KeyLimits;
}

export interface KeysContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly keyStore: KeyStore;
  readonly json: boolean;
}

const unitMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** Makes a key and shows it, this once. */
export async function createKey(
  options: CreateOptions,
  { terminal, clock, keyStore, json }: KeysContext,
): Promise<number> {
  const { text, key } = await keyStore.create({
    name: options.name,
    scopes: [...new Set(options.scope)],
    ...(options.mode === 'auto' ? {} : { tiers: [options.mode] }),
    ...(options.model.length === 0 ? {} : { models: options.model }),
    limits: options.limits,
    ...(options.expires === undefined ? {} : { expiresMs: expiryOf(options.expires, clock.wallMs()) }),
  });
  if (options.scope.includes('device')) {
    terminal.errors.write('The scope device has no effect: this version links no devices.\n');
  }
  if (json) printLine(terminal, JSON.stringify({ key: text, ...described(key, clock.wallMs()) }));
  else {
    printLine(terminal, text);
    terminal.errors.write(`Keep it: it is shown only now. "lfo keys revoke ${key.id}" ends it within a second.\n`);
  }
  return exitCodes.done;
}

/** Every key without its secret, the oldest first. */
export async function listKeys({ terminal, clock, keyStore, json }: KeysContext): Promise<number> {
  const keys = (await keyStore.list()).map((key) => described(key, clock.wallMs()));
  if (json) printLine(terminal, JSON.stringify({ keys }));
  else if (keys.length === 0) printLine(terminal, 'No keys yet: lfo keys create --name laptop');
  else for (const line of table(keys)) printLine(terminal, line);
  return exitCodes.done;
}

/** Ends keys by id or name; with `forget`, revoked ones are deleted too. */
export async function revokeKey(idOrName: string, forget: boolean, context: KeysContext): Promise<number> {
  const { terminal, keyStore, json } = context;
  const revoked = await keyStore.revoke(idOrName);
  const forgotten = forget ? await keyStore.forgetRevoked() : 0;
  if (revoked.length === 0 && forgotten === 0) {
    throw new CliError(`No key in force has the id or name "${idOrName}": see lfo keys list.`);
  }
  if (json) printLine(terminal, JSON.stringify({ revoked, forgotten }));
  else {
    for (const id of revoked) printLine(terminal, `${coloursFor(terminal).green('✓')} ${id} is revoked.`);
    if (forgotten > 0)
      printLine(terminal, `${forgotten} revoked ${forgotten === 1 ? 'key is' : 'keys are'} forgotten.`);
  }
  return exitCodes.done;
}

/** `30d` from now, or a date. */
function expiryOf(text: string, nowMs: number): number {
  const [, count, unit = ''] = /^(\d+)([mhdwy])$/.exec(text) ?? [];
  const unitLength = unitMs[unit];
  const atMs = unitLength === undefined ? Date.parse(text) : nowMs + Number(count) * unitLength;
  if (Number.isSafeInteger(atMs) && atMs > nowMs) return atMs;
  throw new CliError('--expires: give a time to come, such as 12h, 30d or 2027-01-31.', exitCodes.usage);
}

type Described = ReturnType<typeof described>;

function described(key: ManagedKey, nowMs: number) {
  const { id, name, scopes, tiers, models, limits, createdMs, expiresMs, revokedMs } = key;
  const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
  return {
    id,
    name,
    state: isInForce(key, nowMs) ? 'active' : revokedMs === undefined ? 'expired' : 'revoked',
    scopes,
    mode: tiers?.length === 1 ? (tiers[0] ?? 'auto') : 'auto',
    models: models ?? null,
    limits,
    created: iso(createdMs),
    expires: iso(expiresMs),
    revoked: iso(revokedMs),
  };
}

function table(keys: readonly Described[]): string[] {
  const head = ['id', 'name', 'state', 'scopes', 'mode', 'models', 'limits', 'expires'];
  const rows = keys.map(({ id, name, state, scopes, mode, models, limits, expires }) => [
    id,
    name.replace(/\p{Cc}/gu, '?'),
    state,
    scopes.join(','),
    mode,
    models?.join(',') ?? 'all',
    Object.entries(limits)
      .map(([limit, value]) => `${limit}=${value}`)
      .join(' ') || 'none',
    expires?.slice(0, 16) ?? 'never',
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
