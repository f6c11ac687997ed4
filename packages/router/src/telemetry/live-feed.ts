import type { HeldView, LiveCounters, RequestView } from '../records/request-view.ts';
import type { ChatRequest } from '../core/request.ts';
import type { RequestFollower, RequestSink } from '../core/sink.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import type { FinalVerdict } from '../core/confidence.ts';
import type { InferenceEvent } from '../core/events.ts';
import { bareId } from '../core/id-time.ts';
import { type RequestOutcome, viewTrace } from '../records/request-record.ts';

/** A request as it is now, and everything counted so far. */
export interface LiveChange {
  /** Grows by one with each change of any request. */
  readonly sequence: number;
  readonly counters: LiveCounters;
  readonly request: RequestView;
}

/** Where a reader stands: changes after `sequence` are news to it. */
export interface LiveSnapshot {
  readonly sequence: number;
  readonly counters: LiveCounters;
  /** In the order of their latest change. */
  readonly requests: readonly RequestView[];
}

/** A request of this router, or one of another as it was stored. */
type Entry = OwnEntry | { readonly id: string; readonly stored: RequestView; sequence: number };

interface OwnEntry {
  readonly id: string;
  readonly stored?: undefined;
  readonly trace: RequestTrace;
  readonly clientKey: string | undefined;
  sequence: number;
  /** Its stage when listeners last heard of it. */
  told: number;
  /** Only of an ended request: its trace does not change any more. */
  outcome: RequestOutcome | undefined;
}

/**
 * The latest requests, running ones included, and who watches them. State rather than a log: whoever comes back gets
 * each request that changed meanwhile once, as it is now. Costs a Map entry a request while nobody watches.
 */
export class LiveFeed implements RequestSink {
  readonly #capacity: number;
  /** In the order of their latest change. */
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(change: LiveChange) => void>();
  /** Who wants to see what is held back of requests that name them. */
  readonly #watchers = new Map<string, (held: HeldView) => void>();
  /** Of before this process, the newest first. */
  #remembered: readonly RequestView[] = [];
  readonly #counters = { started: 0, running: 0, local: 0, cloud: 0, escalated: 0, failed: 0 };
  #sequence = 0;
  /** Changes up to this one may have been forgotten. */
  #forgotten = 0;

  /** @param capacity ended requests kept; running ones are kept as long as they run */
  constructor(capacity = 200) {
    this.#capacity = capacity;
  }

  begin({ hints: { clientKey, headers } }: Pick<ChatRequest, 'hints'>, trace: RequestTrace): RequestFollower {
    this.#counters.started++;
    this.#counters.running++;
    this.#changed({ id: trace.id, trace, clientKey, sequence: 0, told: 0, outcome: undefined });
    const ended: RequestFollower['ended'] = (delivery) => this.end(trace, delivery);
    const reader = this.#watchers.size === 0 ? undefined : headers?.[watchHeader];
    const watcher = typeof reader === 'string' ? this.#watchers.get(reader) : undefined;
    if (watcher === undefined) return { ended };
    return {
      ended,
      held: (events, attempt, verdict) => watcher(heldView(trace, attempt, events, verdict)),
    };
  }

  /** Takes what was answered before this process began: the page is not empty after a restart. */
  remember(newestFirst: readonly RequestView[]): void {
    this.#remembered = newestFirst.slice(0, this.#capacity);
  }

  /** Tells what is held back of requests whose header `x-lfo-watch` names this reader, until the returned function is called. */
  watch(reader: string, listener: (held: HeldView) => void): () => void {
    this.#watchers.set(reader, listener);
    return () => {
      if (this.#watchers.get(reader) === listener) this.#watchers.delete(reader);
    };
  }

  /** Announces running requests that have moved on: a new attempt, a backend, the first byte. O(requests remembered). */
  refresh(): void {
    const moved = [...this.#entries.values()].filter(
      (entry) => entry.stored === undefined && entry.outcome === undefined && entry.told !== stageOf(entry.trace),
    );
    for (const entry of moved) this.#changed(entry);
  }

  /** A request that another router has answered, as it was stored; one that is known already is not told again. */
  endedElsewhere(stored: RequestView): void {
    if (this.#entries.has(stored.id)) return;
    this.#changed({ id: stored.id, stored, sequence: 0 });
    this.#forgetOldest();
  }

  /** Call once, when the request has ended, whatever its end; `trace.endMs` is set. */
  end(trace: RequestTrace, outcome: RequestOutcome): void {
    const entry = this.#entries.get(trace.id);
    if (entry === undefined || entry.stored !== undefined || entry.outcome !== undefined) return;
    this.#count(trace, outcome);
    entry.outcome = outcome;
    this.#changed(entry);
    this.#forgetOldest();
  }

  /** A request that runs or ended lately, and the key it belongs to. */
  find(asked: string): { readonly view: RequestView; readonly clientKey: string | undefined } | undefined {
    const entry = this.#entries.get(bareId(asked));
    if (entry === undefined) return undefined;
    const clientKey = entry.stored === undefined ? entry.clientKey : (entry.stored.clientKey ?? undefined);
    return { view: viewOf(entry), clientKey };
  }

  /** What changed after `sequence`, or `undefined` where that is no longer known: then read a whole snapshot. */
  since(sequence: number): LiveSnapshot | undefined {
    if (sequence < this.#forgotten || sequence > this.#sequence) return undefined;
    return this.#snapshot(sequence);
  }

  snapshot(): LiveSnapshot {
    const now = this.#snapshot(0);
    const known = new Set(now.requests.map(({ id }) => id));
    const room = Math.max(0, this.#capacity - now.requests.length);
    const before = this.#remembered.filter(({ id }) => !known.has(id)).slice(0, room);
    return { ...now, requests: [...before.toReversed(), ...now.requests] };
  }

  /** Tells every change from now on until the returned function is called. Listeners must not throw. */
  subscribe(listener: (change: LiveChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #snapshot(after: number): LiveSnapshot {
    const changed = [...this.#entries.values()].filter((entry) => entry.sequence > after);
    return { sequence: this.#sequence, counters: { ...this.#counters }, requests: changed.map(viewOf) };
  }

  #changed(entry: Entry): void {
    entry.sequence = ++this.#sequence;
    if (entry.stored === undefined) entry.told = stageOf(entry.trace);
    this.#entries.delete(entry.id);
    this.#entries.set(entry.id, entry);
    if (this.#listeners.size === 0) return;
    const change = { sequence: entry.sequence, counters: { ...this.#counters }, request: viewOf(entry) };
    for (const listener of this.#listeners) listener(change);
  }

  #count(trace: RequestTrace, { status }: RequestOutcome): void {
    const counters = this.#counters;
    counters.running--;
    if (trace.finishReason === undefined) {
      if (status !== 499) counters.failed++;
      return;
    }
    if (trace.route === undefined) return;
    counters[trace.route]++;
    if (trace.route === 'cloud' && trace.attempts.some(({ tier }) => tier === 'local')) counters.escalated++;
  }

  #forgetOldest(): void {
    let ended = this.#entries.size - this.#counters.running;
    for (const [id, entry] of this.#entries) {
      if (ended <= this.#capacity) return;
      if (entry.stored === undefined && entry.outcome === undefined) continue;
      this.#entries.delete(id);
      this.#forgotten = entry.sequence;
      ended--;
    }
  }
}

const watchHeader = 'x-lfo-watch';

function heldView(
  { id, threshold, startMs }: RequestTrace,
  attempt: AttemptTrace,
  events: readonly InferenceEvent[],
  verdict: FinalVerdict | undefined,
): HeldView {
  return {
    id,
    backend: attempt.backend ?? null,
    model: attempt.model ?? null,
    afterMs: attempt.leasedMs === undefined ? 0 : attempt.leasedMs - startMs,
    text: events.map(textOf).join(''),
    verdict:
      verdict === undefined
        ? null
        : { isKept: verdict.type === 'commit', score: verdict.score ?? null, reason: verdict.reason, threshold },
  };
}

/** As a person reads it: words, and calls with their arguments. */
function textOf(event: InferenceEvent): string {
  if (event.type === 'text-delta' || event.type === 'refusal-delta') return event.text;
  if (event.type === 'tool-call-start') return `${event.name} `;
  return event.type === 'tool-call-delta' ? event.json : '';
}

function viewOf(entry: Entry): RequestView {
  return entry.stored ?? viewTrace(entry.trace, entry.outcome, entry.clientKey);
}

/** Grows with each attempt, with its backend and with the first byte. */
function stageOf({ attempts, committedMs }: RequestTrace): number {
  const hasBackend = attempts.at(-1)?.backend !== undefined;
  return attempts.length * 4 + (hasBackend ? 2 : 0) + (committedMs === undefined ? 0 : 1);
}
