import type { Redis } from 'ioredis';
import type { Consumption } from '../../core/identity.ts';
import { type Estimate, holdsPlace, type LimitAsk, nothing, type Used } from './limit-store.ts';
import { redisScript } from './redis-script.ts';
import {
  type Known,
  listOfLimits,
  placeLifeMs,
  readAnswer,
  type Renewal,
  type SharedAnswer,
  type SharedLimitStore,
} from './shared-limit-store.ts';

export interface RedisLimitsOptions {
  /** `redis://`, `rediss://`; with user, password and number of the database where it wants them. */
  readonly url: string;
  /** Names this router's places; no other living router has the same. */
  readonly router: string;
  /** Today's use of a key that Redis does not know, from the database. */
  readonly today: (keyId: string) => Promise<Consumption>;
}

const connectMs = 1_000;
/** A command without an answer for so long has a dead connection under it. */
const commandMs = 500;

/** Counts in Redis or Valkey: one script a call, on one hash a key. */
export class RedisLimits implements SharedLimitStore {
  readonly #options: RedisLimitsOptions;
  readonly #client: Promise<Redis>;
  #sha: string | undefined;
  #isEvalOnly = false;

  constructor(options: RedisLimitsOptions) {
    this.#options = options;
    // The first request is not to wait for it.
    this.#client = this.#connect();
  }

  async take(ask: LimitAsk, known: Known): Promise<SharedAnswer> {
    const limits = listOfLimits(ask).map((limit) => limit ?? '');
    const rest = [
      placeLifeMs,
      flag(holdsPlace(ask.limits)),
      flag(ask.mode === 'cloud'),
      ask.tokens,
      ask.usd,
      ...limits,
    ];
    return readAnswer((await this.#run(ask.keyId, 'take', known, rest)).map(Number));
  }

  async settle(keyId: string, reserved: Estimate, used: Used): Promise<void> {
    const rest = [reserved.tokens, reserved.usd, used.tokens, used.usd];
    // A hash that is gone begins anew with the next take, from the database, which has this.
    await this.#call(keyId, 'settle', seed(undefined, undefined), rest);
  }

  async renew(renewals: readonly Renewal[]): Promise<void> {
    for (const { keyId, running, owed, known } of renewals) {
      const { requests, tokens, usd } = running;
      const place = [requests, tokens.count, tokens.sum, usd.count, usd.sum];
      const rest = [...place, ...numbersOf(owed.minute), ...numbersOf(owed.day)];
      await this.#run(keyId, 'renew', known, rest);
    }
  }

  async close(): Promise<void> {
    (await this.#client.catch(() => undefined))?.disconnect();
  }

  /** Asks once more with what the database knows where Redis has no such key. */
  async #run(
    keyId: string,
    what: 'take' | 'renew',
    { minute }: Known,
    rest: readonly (string | number)[],
  ): Promise<readonly string[]> {
    const answer = await this.#call(keyId, what, seed(undefined, undefined), rest);
    if (answer[0] !== 'absent') return answer;
    return this.#call(keyId, what, seed(minute, await this.#options.today(keyId)), rest);
  }

  /** By the script's digest, which spares the text; by its text where the digest is not known or not allowed. */
  async #call(
    keyId: string,
    what: string,
    seeds: readonly (string | number)[],
    rest: readonly (string | number)[],
  ): Promise<readonly string[]> {
    const client = await this.#client;
    const args = [1, `lfo:limits:${keyId}`, what, this.#options.router, ...seeds, ...rest];
    if (!this.#isEvalOnly && this.#sha !== undefined) {
      try {
        return textsOf(await client.evalsha(this.#sha, ...asArguments(args)));
      } catch (error) {
        const why = error instanceof Error ? error.message : '';
        if (why.startsWith('NOPERM')) this.#isEvalOnly = true;
        else if (!why.startsWith('NOSCRIPT')) throw error;
      }
    }
    return textsOf(await client.eval(redisScript, ...asArguments(args)));
  }

  /** The client is read by those who use it alone. */
  async #connect(): Promise<Redis> {
    const [{ Redis }, { hash }] = await Promise.all([import('ioredis'), import('node:crypto')]);
    this.#sha = hash('sha1', redisScript, 'hex');
    const client = new Redis(this.#options.url.replace(/^valkey/, 'redis'), {
      connectionName: 'lfo',
      connectTimeout: connectMs,
      commandTimeout: commandMs,
      socketTimeout: connectMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      protocol: 2,
      retryStrategy: (times) => Math.min(1_000, 50 * times),
      lazyConnect: true,
    });
    // Whoever asks hears of it; without a listener it would be printed.
    client.on('error', () => {});
    await client.connect().catch(() => undefined);
    return client;
  }
}

/** A minute and a day to begin an unknown key with; without them it is answered that it is not known. */
function seed(minute: Known['minute'], day: Consumption | undefined): readonly (string | number)[] {
  const { leftMs, used } = minute ?? { leftMs: 60_000, used: nothing };
  return [leftMs, ...numbersOf(used), ...numbersOf(day ?? nothing), flag(day !== undefined)];
}

function numbersOf({ requests, tokens, usd }: Consumption): readonly number[] {
  return [requests, tokens, usd];
}

function flag(isSet: boolean): string {
  return isSet ? '1' : '0';
}

/** The client's types want the number of keys and the first key apart. */
function asArguments(args: readonly (string | number)[]): [number, ...(string | number)[]] {
  return [1, ...args.slice(1)];
}

function textsOf(answer: unknown): readonly string[] {
  if (!Array.isArray(answer)) throw new TypeError('Redis answers what the script does not.');
  return answer.map(String);
}
