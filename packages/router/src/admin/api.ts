import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { LfoError, RequestError } from '../core/errors.ts';
import { isReason } from '../core/reason.ts';
import { latestOf, type TrendQuery, type TrendRange, type trendRanges } from '../records/history.ts';
import { requestBody, statusBody } from './api-bodies.ts';
import type { AdminDeps } from './deps.ts';

const tier = z.enum(['local', 'cloud']);
const text = z.string().min(1).max(200);
export const moment = z.coerce.number().int().min(0).max(1e14);
/** The filters of lists and exports. */
export const requestQuery = z.object({
  route: tier.optional(),
  outcome: z.enum(['ok', 'failed', 'refused', 'left', 'degraded', 'escalated']).optional(),
  backend: text.optional(),
  reason: z.string().refine(isReason, { error: 'must be one of the reasons that LFO gives' }).optional(),
  key: text.optional(),
  model: text.optional(),
  mode: z.enum(['auto', 'local', 'cloud']).optional(),
  dialect: text.optional(),
  device: text.optional(),
  status: z.coerce.number().int().min(100).max(599).optional(),
  tools: z.stringbool().optional(),
  error: text.optional(),
  minCostUsd: z.coerce.number().min(0).optional(),
  minMs: z.coerce.number().min(0).optional(),
  fromMs: moment.optional(),
  untilMs: moment.optional(),
});
const pageQuery = requestQuery.extend({
  before: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
const rangeQuery = z.object({ range: z.enum(trendRangeNames()).default('24h') });

export const trendQuery = rangeQuery.extend({
  from: moment.optional(),
  until: moment.optional(),
  key: text.optional(),
  model: text.optional(),
});

/** What the dashboard's views ask for. Every route needs the admin scope; see `admin-routes.ts`. */
export function addApi(app: FastifyInstance, deps: AdminDeps): void {
  const { history, live, keyName, setDraining } = deps;

  app.get('/dashboard/api/requests', async ({ query }) => {
    const { limit, ...filter } = parse(pageQuery, query);
    return await stored(history.page(defined(filter), limit));
  });

  app.get<{ Params: { id: string } }>('/dashboard/api/requests/:id', async ({ params: { id } }) => {
    const running = live.find(id);
    // A request that has just ended may not be in the database yet, and one that runs never is.
    const known = running?.view.state === 'done' || running === undefined ? await stored(history.find(id)) : undefined;
    const body = requestBody(known, running, keyName);
    if (body === undefined) throw unknownRequest();
    return body;
  });

  app.get('/dashboard/api/trends', ({ query }) => {
    const asked = defined(parse(trendQuery, query));
    return stored(history.trends(spanOf(asked, deps.clock.wallMs())));
  });
  app.get('/dashboard/api/confidence', ({ query }) => stored(history.confidence(parse(rangeQuery, query).range)));
  app.get('/dashboard/api/learning', ({ query }) => stored(history.learning(parse(rangeQuery, query).range)));
  app.get('/dashboard/api/fleet', () => statusBody(deps));
  // Else the pages, which anyone may ask for, would answer.
  app.get('/dashboard/api/*', () => {
    throw new LfoError('There is nothing at this address.', { code: 'not_found', status: 404 });
  });

  for (const action of ['drain', 'resume'] as const) {
    app.post<{ Params: { id: string } }>(`/dashboard/api/fleet/:id/${action}`, ({ params: { id } }, reply) => {
      if (setDraining(id, action === 'drain')) return reply.status(204).send();
      throw new LfoError('There is no such backend in the fleet.', { code: 'unknown_backend', status: 404 });
    });
  }
}

/** The database may be away while requests are served. */
export async function stored<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (cause instanceof LfoError && cause.status < 500) throw cause;
    throw new LfoError('The database cannot be read now. Requests are served all the same; see the log.', {
      code: 'records_unavailable',
      status: 503,
      retryable: true,
      retryAfterMs: 2_000,
      cause,
    });
  }
}

/** Foreign and unknown ids look the same. */
export function unknownRequest(): LfoError {
  return new LfoError('No request with this id is on record.', { code: 'unknown_request', status: 404 });
}

/** @throws RequestError that names the parameter */
export function parse<T>(schema: z.ZodType<T>, query: unknown): T {
  const { data, error } = schema.safeParse(query);
  if (data !== undefined) return data;
  const param = error?.issues[0]?.path.join('.');
  throw new RequestError(`The query parameter ${param ?? ''} has a value that is not known here.`, {
    ...(param !== undefined && { param }),
  });
}

/** A named range up to now, or one with its own ends. */
export function spanOf(
  asked: { range: TrendRange; from?: number; until?: number; key?: string; model?: string },
  nowMs: number,
): TrendQuery {
  const { range, from, until = nowMs, key, model } = asked;
  return {
    ...(from === undefined ? latestOf(range, until) : { fromMs: Math.min(from, until), untilMs: until }),
    ...(key !== undefined && { clientKey: key }),
    ...(model !== undefined && { model }),
  };
}

/** Zod's absent fields, as absent. */
export function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> };
export function defined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function trendRangeNames() {
  return ['1h', '6h', '24h', '7d', '30d'] as const satisfies readonly (keyof typeof trendRanges)[];
}
