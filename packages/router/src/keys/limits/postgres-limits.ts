import * as z from 'zod';
import type { PostgresStore } from '../../records/store/postgres-store.ts';
import { type Estimate, holdsPlace, type LimitAsk, type Running, type Used } from './limit-store.ts';
import {
  type Known,
  listOfLimits,
  placeLifeMs,
  readAnswer,
  type Renewal,
  type SharedAnswer,
  type SharedLimitStore,
} from './shared-limit-store.ts';

const answerRow = z.object({ answer: z.array(z.number()) });

/** Counts in PostgreSQL: one statement a call, on one row a key. The functions it calls are a step of the schema. */
export class PostgresLimits implements SharedLimitStore {
  readonly #store: Pick<PostgresStore, 'query'>;
  readonly #router: string;

  /** @param router names this router's places; no other living router has the same */
  constructor(store: Pick<PostgresStore, 'query'>, router: string) {
    this.#store = store;
    this.#router = router;
  }

  async take(ask: LimitAsk, known: Known): Promise<SharedAnswer> {
    const [row] = await this.#store.query('select lfo_limits_take($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as answer', [
      ask.keyId,
      this.#router,
      listOfLimits(ask),
      holdsPlace(ask.limits),
      ask.mode === 'cloud',
      ask.tokens,
      ask.usd,
      seenMinute(known),
      unwritten(known),
      placeLifeMs,
    ]);
    return readAnswer(answerRow.parse(row).answer);
  }

  async settle(keyId: string, reserved: Estimate, used: Used): Promise<void> {
    await this.#store.query('select lfo_limits_settle($1, $2, $3, $4, $5, $6)', [
      keyId,
      this.#router,
      reserved.tokens,
      reserved.usd,
      used.tokens,
      used.usd,
    ]);
  }

  async renew(renewals: readonly Renewal[]): Promise<void> {
    // Each in a transaction of its own: several locks at once could block two routers for good.
    for (const { keyId, running, owed, known } of renewals) {
      await this.#store.query('select lfo_limits_renew($1, $2, $3, $4, $5, $6, $7)', [
        keyId,
        this.#router,
        placeOf(running),
        [owed.minute.requests, owed.minute.tokens, owed.minute.usd],
        [owed.day.requests, owed.day.tokens, owed.day.usd],
        seenMinute(known),
        unwritten(known),
      ]);
    }
  }

  async close(): Promise<void> {}
}

function placeOf({ requests, tokens, usd }: Running): readonly number[] {
  return [requests, tokens.count, tokens.sum, usd.count, usd.sum];
}

function seenMinute({ minute }: Known): readonly number[] | null {
  if (minute === undefined) return null;
  const { leftMs, used } = minute;
  return [leftMs, used.requests, used.tokens, used.usd];
}

function unwritten({ unwritten: { requests, tokens, usd } }: Known): readonly number[] {
  return [requests, tokens, usd];
}
