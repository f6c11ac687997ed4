import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { csvLine } from '../core/csv.ts';
import { LfoError, RequestError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { ManagedKey } from '../keys/managed-key.ts';
import type { KeyChange, KeyUse } from '../keys/key-store.ts';
import type { RequestView } from '../records/request-view.ts';
import { defined, moment, parse, requestQuery, spanOf, stored, trendQuery } from './api.ts';
import type { AdminDeps } from './deps.ts';
import type { KeyBody, KeysBody, SettingsBody } from './wire.ts';

const limit = z.number().positive().nullable().optional();
const limits = z.strictObject({
  requestsPerMinute: limit,
  requestsPerDay: limit,
  tokensPerMinute: limit,
  tokensPerDay: limit,
  usdPerMinute: limit,
  usdPerDay: limit,
  concurrency: limit,
});
const newKey = z.strictObject({
  name: z.string().trim().min(1).max(100),
  scopes: z.array(z.enum(['chat', 'admin'])).min(1),
  mode: z.enum(['auto', 'local', 'cloud']).default('auto'),
  models: z.array(z.string().min(1).max(200)).max(100).default([]),
  limits: limits.default({}),
  expiresMs: moment.nullable().optional(),
});
const keyChange = z.strictObject({ limits });
const exportQuery = requestQuery.extend({ format: z.enum(['csv', 'json']).default('csv') });
const usageQuery = trendQuery.extend({ by: z.enum(['key', 'model', 'backend', 'device']).optional() });

/** Rows of one export; a whole table is `lfo requests --format csv`. */
const maxExported = 100_000;

interface Named {
  Params: { id: string };
}

/** What operators ask and change: usage, errors, exports, keys, settings. Every route needs the admin scope. */
export function addOperators(app: FastifyInstance, deps: AdminDeps): void {
  const { history, clock } = deps;

  app.get('/dashboard/api/usage', ({ query }) => {
    const asked = defined(parse(usageQuery, query));
    const { fromMs, untilMs, clientKey, model } = spanOf(asked, clock.wallMs());
    const span = {
      fromMs,
      untilMs,
      ...(clientKey !== undefined && { clientKey }),
      ...(model !== undefined && { model }),
    };
    const by = asked.by === 'key' ? 'client_key' : asked.by;
    return stored(history.usage(span, by));
  });
  app.get('/dashboard/api/errors', async ({ query }) => {
    const { fromMs, untilMs } = spanOf(defined(parse(trendQuery, query)), clock.wallMs());
    return { errors: await stored(history.errors({ fromMs, untilMs })) };
  });
  app.get('/dashboard/api/export', ({ query }, reply) => {
    const { format, ...filter } = defined(parse(exportQuery, query));
    const rows = history.rows(filter, maxExported);
    return reply
      .type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
      .header('content-disposition', `attachment; filename="lfo-requests.${format === 'csv' ? 'csv' : 'jsonl'}"`)
      .send(Readable.from(format === 'csv' ? csvOf(rows, deps) : jsonOf(rows, deps)));
  });
  app.get('/dashboard/api/settings', (): SettingsBody => deps.inForce());
  addKeys(app, deps);
}

function addKeys(app: FastifyInstance, { keys, clock, readBody, isKeyConfigured }: AdminDeps): void {
  app.get('/dashboard/api/keys', async (): Promise<KeysBody> => {
    const [list, use] = await stored(Promise.all([keys.list(), keys.use()]));
    const readable = list.filter(({ isUnreadable }) => isUnreadable !== true);
    return { keys: readable.map((key) => keyBody(key, use.get(key.id), clock.wallMs())), ownerHasKey: isKeyConfigured };
  });
  app.post('/dashboard/api/keys', async (request, reply) => {
    const { name, scopes, mode, models, limits: wanted, expiresMs } = read(newKey, readBody(request));
    const isFirst = !isKeyConfigured && (await stored(keys.list())).length === 0;
    if (isFirst && !scopes.includes('admin')) {
      throw new RequestError(
        'From the first key on nobody comes in without one: give this one the scope admin, or the dashboard would be closed.',
        { param: 'scopes' },
      );
    }
    const { text, key } = await stored(
      keys.create({
        name,
        scopes,
        ...(mode !== 'auto' && { tiers: [mode] }),
        ...(models.length > 0 && { models }),
        limits: defined(withoutNulls(wanted)),
        ...(typeof expiresMs === 'number' && { expiresMs }),
      }),
    );
    return reply.status(201).send({ text, key: keyBody(key, undefined, clock.wallMs()) });
  });
  app.patch<Named>('/dashboard/api/keys/:id', (request) => {
    const { limits: changes } = read(keyChange, readBody(request));
    return changed(request.params.id, defined(changes));
  });
  app.post<Named>('/dashboard/api/keys/:id/revoke', async ({ params: { id } }, reply) => {
    if ((await stored(keys.revoke(id))).length === 0) throw unknownKey();
    return reply.status(204).send();
  });

  async function changed(id: string, changes: NonNullable<KeyChange['limits']>): Promise<KeyBody> {
    const [key] = await stored(keys.change(id, { limits: changes }));
    if (key === undefined) throw unknownKey();
    return keyBody(key, (await stored(keys.use())).get(key.id), clock.wallMs());
  }
}

function keyBody(key: ManagedKey, use: KeyUse | undefined, nowMs: number): KeyBody {
  const { id, name, scopes, tiers, models, createdMs, expiresMs, revokedMs } = key;
  const nothing = { requests: 0, tokens: 0, usd: 0 };
  const { minute = nothing, today = nothing, lastUsedMs } = use ?? {};
  return {
    id,
    name,
    scopes,
    mode: tiers?.length === 1 ? (tiers[0] ?? 'auto') : 'auto',
    models: models ?? null,
    state: revokedMs !== undefined ? 'revoked' : expiresMs !== undefined && nowMs >= expiresMs ? 'expired' : 'active',
    createdMs,
    expiresMs: expiresMs ?? null,
    lastUsedMs: lastUsedMs ?? null,
    limits: key.limits,
    used: {
      requestsPerMinute: minute.requests,
      requestsPerDay: today.requests,
      tokensPerMinute: minute.tokens,
      tokensPerDay: today.tokens,
      usdPerMinute: minute.usd,
      usdPerDay: today.usd,
    },
  };
}

function unknownKey(): LfoError {
  return new LfoError('No key in force has this id.', { code: 'unknown_key', status: 404 });
}

function withoutNulls<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], null> };
function withoutNulls(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function read<T>(schema: z.ZodType<T>, body: JsonValue): T {
  const { data, error } = schema.safeParse(body);
  if (data !== undefined) return data;
  const issue = error?.issues[0];
  const param = issue?.path.join('.') ?? '';
  throw new RequestError(`${param === '' ? 'The body' : param}: ${issue?.message ?? 'is not what is expected here'}.`, {
    ...(param !== '' && { param }),
  });
}

const exported = [
  'id',
  'timeMs',
  'status',
  'errorCode',
  'route',
  'backend',
  'model',
  'device',
  'mode',
  'dialect',
  'tools',
  'stream',
  'degraded',
  'confidence',
  'threshold',
  'promptTokens',
  'completionTokens',
  'costUsd',
  'costAvoidedUsd',
  'totalMs',
  'firstTokenMs',
  'predictedWaitMs',
  'waitMs',
  'finishReason',
  'router',
  'path',
] as const satisfies readonly (keyof RequestView)[];

async function* csvOf(rows: AsyncIterable<RequestView>, deps: AdminDeps): AsyncGenerator<string> {
  yield csvLine(['key', 'reason', ...exported]);
  for await (const row of rows) {
    const cells = exported.map((name) => {
      const value = row[name];
      return typeof value === 'boolean' ? String(value) : value;
    });
    yield csvLine([keyOf(row, deps), row.reason ?? row.errorCode, ...cells]);
  }
}

async function* jsonOf(rows: AsyncIterable<RequestView>, deps: AdminDeps): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify({ ...row, key: keyOf(row, deps) })}\n`;
}

function keyOf({ clientKey }: RequestView, { keyName }: AdminDeps): string | null {
  return clientKey === null ? null : (keyName(clientKey) ?? clientKey);
}
