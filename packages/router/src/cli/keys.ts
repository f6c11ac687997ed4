import type { Clock } from '../core/clock.ts';
import type { KeyLimits, Scope } from '../core/identity.ts';
import type { KeyChange, KeyStore, KeyUse } from '../keys/key-store.ts';
import { isInForce, type ManagedKey } from '../keys/managed-key.ts';
import type { Mode } from '../core/request.ts';
import { tableLines } from './table-text.ts';
import { CliError, coloursFor, exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

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
    terminal.errors.write(
      'The scope device opens nothing: a device joins by pairing ("lfo devices pair"), not by a key.\n',
    );
  }
  if (json) printLine(terminal, JSON.stringify({ key: text, ...described(key, clock.wallMs()) }));
  else {
    printLine(terminal, text);
    terminal.errors.write(`Keep it: it is shown only now. "lfo keys revoke ${key.id}" ends it within a second.\n`);
  }
  return exitCodes.done;
}

/** Every key without its secret, the oldest first, with what it used. */
export async function listKeys({ terminal, clock, keyStore, json }: KeysContext): Promise<number> {
  const [found, use] = [await keyStore.list(), await keyStore.use()];
  const keys = found.map((key) => ({ ...described(key, clock.wallMs()), ...usedBy(use.get(key.id)) }));
  if (json) printLine(terminal, JSON.stringify({ keys }));
  else if (keys.length === 0) printLine(terminal, 'No keys yet: lfo keys create --name laptop');
  else for (const line of table(keys)) printLine(terminal, line);
  return exitCodes.done;
}

/** Options of `keys set`; a limit of `none` is taken away. */
export interface SetOptions {
  readonly limits: { readonly [Name in keyof KeyLimits]?: KeyLimits[Name] | 'none' };
  readonly mode?: Mode;
  readonly model?: readonly string[];
  readonly expires?: string;
}

/** Changes what keys of this id or name may do and use. */
export async function setKey(idOrName: string, options: SetOptions, context: KeysContext): Promise<number> {
  const { terminal, clock, keyStore, json } = context;
  const { limits, mode, model, expires } = options;
  const change: KeyChange = {
    limits: Object.fromEntries(Object.entries(limits).map(([name, limit]) => [name, limit === 'none' ? null : limit])),
    ...(mode !== undefined && { tiers: mode === 'auto' ? null : [mode] }),
    ...(model !== undefined && { models: model.includes('all') ? null : model }),
    ...(expires !== undefined && { expiresMs: expires === 'never' ? null : expiryOf(expires, clock.wallMs()) }),
  };
  if (Object.keys(limits).length + Object.keys(change).length === 1) {
    throw new CliError('Say what to change, such as --requests-per-day 500 or --usd-per-day none.', exitCodes.usage);
  }
  const changed = await keyStore.change(idOrName, change);
  if (changed.length === 0) throw new CliError(`No key in force has the id or name "${idOrName}": see lfo keys list.`);
  const keys = changed.map((key) => described(key, clock.wallMs()));
  if (json) printLine(terminal, JSON.stringify({ keys }));
  else for (const { name, limits: now } of keys) printLine(terminal, `${name}: ${limitsText(now)}`);
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

type Described = ReturnType<typeof described> & ReturnType<typeof usedBy>;

/** By the names of the limits; what runs at once is known to each router alone. */
function usedBy(use: KeyUse | undefined) {
  const { minute, today } = use ?? { minute: unused, today: unused };
  return {
    last_used: use?.lastUsedMs === undefined ? null : new Date(use.lastUsedMs).toISOString(),
    used: {
      requests_per_minute: minute.requests,
      requests_per_day: today.requests,
      tokens_per_minute: minute.tokens,
      tokens_per_day: today.tokens,
      usd_per_minute: minute.usd,
      usd_per_day: today.usd,
      concurrency: null,
    },
  };
}

const unused = { requests: 0, tokens: 0, usd: 0 };

/** `requestsPerDay` is `requests_per_day` to scripts, as it is `--requests-per-day` to people. */
function snakeLimits(limits: KeyLimits): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(limits).map(([name, limit]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      limit,
    ]),
  );
}

function limitsText(limits: Readonly<Record<string, number>>): string {
  const parts = Object.entries(limits).map(([name, limit]) => `${name}=${limit}`);
  return parts.length === 0 ? 'no limits' : parts.join(' ');
}

/** `142/500 requests_per_day`, one for each limit. */
function useText({ limits, used }: Described): string {
  const counts: Readonly<Record<string, number | null>> = used;
  const parts = Object.entries(limits).map(([name, limit]) => `${round(counts[name] ?? null)}/${limit} ${name}`);
  return parts.length === 0 ? `${used.requests_per_day} requests today` : parts.join(', ');
}

function round(value: number | null): string {
  return value === null ? '?' : String(Math.round(value * 10_000) / 10_000);
}

function described(key: ManagedKey, nowMs: number) {
  const { id, name, scopes, tiers, models, limits, createdMs, expiresMs, revokedMs, isUnreadable } = key;
  const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
  return {
    id,
    name,
    state: isUnreadable
      ? 'unreadable'
      : isInForce(key, nowMs)
        ? 'active'
        : revokedMs === undefined
          ? 'expired'
          : 'revoked',
    scopes,
    mode: tiers?.length === 1 ? (tiers[0] ?? 'auto') : 'auto',
    models: models ?? null,
    limits: snakeLimits(limits),
    created: iso(createdMs),
    expires: iso(expiresMs),
    revoked: iso(revokedMs),
  };
}

function table(keys: readonly Described[]): readonly string[] {
  const head = ['id', 'name', 'state', 'scopes', 'mode', 'models', 'last used', 'use of limits', 'expires'];
  const rows = keys.map((key) => [
    key.id,
    plainText(key.name),
    key.state,
    key.scopes.join(','),
    key.mode,
    key.models?.join(',') ?? 'all',
    key.last_used?.slice(0, 16).replace('T', ' ') ?? 'never',
    useText(key),
    key.expires?.slice(0, 10) ?? 'never',
  ]);
  return tableLines([head, ...rows]);
}
