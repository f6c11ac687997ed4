import type { Client } from 'pg';
import type { Clock } from '../../core/clock.ts';
import { randomToken } from '../../core/id.ts';
import type { PostgresStore } from './postgres-store.ts';

/** Tells what the database says of its changes, where it can. */
export interface DatabaseListener {
  /** Whether notices come; else whoever waits for them must ask. */
  readonly isListening: boolean;
  /** Calls with the topic of each notice, and once with each topic known when notices may have been missed. */
  onNotice(run: (topic: string) => void): void;
  close(): Promise<void>;
}

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;
/** How long a notice of our own may take, and how often it is tried whether they still come. */
const echoMs = 2_000;
const checkMs = 30_000;

/**
 * `LISTEN` on a connection of its own. Behind a PgBouncer in transaction mode the command succeeds and no notice ever
 * comes, so each connection is tried with a notice to itself, and again every half minute.
 */
export class PostgresListener implements DatabaseListener {
  readonly #url: string;
  readonly #store: Pick<PostgresStore, 'query'>;
  readonly #clock: Clock;
  readonly #listeners = new Set<(topic: string) => void>();
  #client: Client | undefined;
  #isListening = false;
  #isClosed = false;
  #failures = 0;
  #cancel: (() => void) | undefined;
  #echo: { readonly text: string; readonly heard: () => void } | undefined;

  constructor(url: string, store: Pick<PostgresStore, 'query'>, clock: Clock) {
    this.#url = url;
    this.#store = store;
    this.#clock = clock;
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  onNotice(run: (topic: string) => void): void {
    this.#listeners.add(run);
  }

  /** Connects in the background, and again whenever that ends. */
  start(): void {
    void this.#listen();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#end();
  }

  async #listen(): Promise<void> {
    if (this.#isClosed) return;
    try {
      const { Client } = await import('pg');
      const client = new Client({
        connectionString: this.#url,
        application_name: 'lfo-listen',
        connectionTimeoutMillis: 2_000,
        keepAlive: true,
      });
      this.#client = client;
      client.on('error', () => void this.#lost());
      client.on('end', () => void this.#lost());
      client.on('notification', ({ payload = '' }) => this.#heard(payload));
      await client.connect();
      await client.query('listen lfo');
      await this.#tryEcho();
      this.#failures = 0;
      this.#isListening = true;
      this.#checkLater();
    } catch {
      await this.#lost();
    }
  }

  #checkLater(): void {
    this.#cancel = this.#clock.schedule(checkMs, () => {
      this.#tryEcho().then(
        () => this.#checkLater(),
        () => this.#lost(),
      );
    });
  }

  /** Rejects where a notice of our own does not come. */
  async #tryEcho(): Promise<void> {
    const text = `echo:${randomToken(8)}`;
    const echoed = Promise.withResolvers<void>();
    this.#echo = { text, heard: echoed.resolve };
    const cancel = this.#clock.schedule(echoMs, () => echoed.reject(new Error('no notice')));
    try {
      await Promise.all([this.#store.query("select pg_notify('lfo', $1)", [text]), echoed.promise]);
    } finally {
      cancel();
    }
  }

  #heard(payload: string): void {
    if (payload === this.#echo?.text) this.#echo.heard();
    else if (!payload.startsWith('echo:')) for (const run of this.#listeners) run(payload);
  }

  async #lost(): Promise<void> {
    if (this.#client === undefined) return;
    await this.#end();
    if (this.#isClosed) return;
    this.#failures++;
    const delayMs = Math.min(longestRetryMs, firstRetryMs * 2 ** (this.#failures - 1));
    this.#cancel = this.#clock.schedule(delayMs, () => void this.#listen());
  }

  async #end(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#isListening = false;
    this.#cancel?.();
    client?.removeAllListeners();
    client?.on('error', () => {});
    await client?.end().catch(() => undefined);
  }
}
