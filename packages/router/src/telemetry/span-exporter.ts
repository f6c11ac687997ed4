import { type Cancellation, childOf } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { RequestTrace } from '../core/trace.ts';
import { spansOf } from './spans.ts';

export interface SpanExporterOptions {
  /** Delivers one OTLP/HTTP JSON body; rejects where the collector did not take it. */
  readonly send: (body: string, signal: Cancellation) => Promise<void>;
  readonly clock: Clock;
  readonly serviceName: string;
  readonly version: string;
  /** Whether requests in mode `local` are left out: the collector is beyond the local network. */
  readonly withoutLocalMode: boolean;
}

interface Ended {
  readonly trace: RequestTrace;
  readonly status: number;
}

const batchMs = 1_000;
const batchRequests = 256;
const maxPending = 2_048;
const sendMs = 10_000;

/** Sends spans in batches off the request path. What the collector does not take, or takes too slowly, is dropped and counted. */
export class SpanExporter {
  readonly #options: SpanExporterOptions;
  #pending: Ended[] = [];
  #sending: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #sent = 0;
  #dropped = 0;
  readonly #givenUp = new AbortController();

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  /** Takes a finished request; the trace is not written to any more. */
  add(trace: RequestTrace, status: number): void {
    if (this.#options.withoutLocalMode && trace.mode === 'local') return;
    if (this.#pending.length >= maxPending) {
      this.#dropped += 1 + trace.attempts.length;
      return;
    }
    this.#pending.push({ trace, status });
    this.#cancel ??= this.#options.clock.schedule(batchMs, () => void this.flush());
  }

  /** Spans since the start. */
  status(): { readonly sent: number; readonly dropped: number } {
    return { sent: this.#sent, dropped: this.#dropped };
  }

  /** Sends what waits; resolves when that went well or not. */
  flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined));
    return this.#sending;
  }

  /** A last delivery; what the collector has not taken when the signal aborts is dropped. */
  async close(signal: Cancellation): Promise<void> {
    const giveUp = (): void => this.#givenUp.abort();
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    // A delivery under way may have begun without the latest requests.
    await this.flush();
    await this.flush();
    signal.removeEventListener('abort', giveUp);
    for (const { trace } of this.#pending.splice(0)) this.#dropped += 1 + trace.attempts.length;
  }

  async #sendAll(): Promise<void> {
    const { clock, send } = this.#options;
    while (this.#pending.length > 0 && !this.#givenUp.signal.aborted) {
      const spans = this.#pending.splice(0, batchRequests).flatMap(({ trace, status }) => spansOf(trace, status));
      const abort = childOf(this.#givenUp.signal);
      const cancel = clock.schedule(sendMs, () => abort.abort());
      try {
        await send(this.#body(spans), abort.signal);
        this.#sent += spans.length;
      } catch {
        this.#dropped += spans.length;
      } finally {
        cancel();
        abort.release();
      }
    }
  }

  #body(spans: ReturnType<typeof spansOf>): string {
    const { serviceName, version } = this.#options;
    const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } });
    const resource = { attributes: [attribute('service.name', serviceName), attribute('service.version', version)] };
    return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'lfo', version }, spans }] }] });
  }
}
