import { costsOf } from './costs.ts';
import type { InferenceEvent } from './core/events.ts';
import type { ChatRequest } from './core/request.ts';
import type { AppOptions } from './core/running-app.ts';
import { BoundedSignatureStore } from './core/signatures.ts';
import type { Store } from './core/store.ts';
import type { AttemptTrace, RequestTrace } from './core/trace.ts';
import { Captures, isCaptured } from './records/captures.ts';
import { Recorder } from './records/recorder.ts';
import type { RequestOutcome } from './records/request-row.ts';
import { StoredSignatureJournal } from './records/signature-journal.ts';
import { openStore } from './records/store/open-store.ts';
import { Upkeep } from './records/upkeep.ts';
import type { WriteStatus } from './records/write-behind.ts';

/** What is remembered of requests. */
export interface RecordKeeping {
  readonly store: Store;
  readonly signatures: BoundedSignatureStore;
  /** US dollars that attempts cost, where their prices are known. */
  readonly costOf: (attempts: readonly AttemptTrace[]) => number | undefined;
  /** The same events; their words are kept on the way where the operator wants that. */
  follow(request: ChatRequest, events: AsyncIterable<InferenceEvent>): AsyncIterable<InferenceEvent>;
  /** Notes the costs in the trace and keeps a row. Call once a request has ended, whatever its end. */
  record(trace: RequestTrace, outcome: RequestOutcome): void;
  /** Whether the database takes rows, how many wait for it and how many were lost. */
  status(): WriteStatus;
  /** The same of the words that are kept. */
  captured(): WriteStatus;
  /** A last write. */
  close(): Promise<void>;
}

/** The database never decides whether LFO serves: what it cannot take is counted and said. */
export function openRecords({ config, clock, logger: log }: AppOptions): RecordKeeping {
  const store = openStore(config.current());
  const costs = costsOf(config.current());
  const recorder = new Recorder(store, clock, (health) =>
    health.type === 'degraded'
      ? log.warn('The database refuses rows; requests are served without records.')
      : log.info({ dropped: health.dropped }, 'The database takes rows again.'),
  );
  const captures = new Captures(store, clock);
  const journal = new StoredSignatureJournal(store, clock);
  const signatures = new BoundedSignatureStore(undefined, journal);
  signatures.restore().catch(() => log.warn('Signatures of earlier tool calls could not be read from the database.'));
  const upkeep = new Upkeep({
    store,
    clock,
    limits: () => config.current().records,
    onError: () => log.debug('Old records could not be tidied up; tried again in a minute.'),
  });
  return {
    store,
    signatures,
    costOf: costs.spent,
    follow: (request, events) =>
      isCaptured(request, config.current().records) ? captures.follow(request, events) : events,
    record(trace, outcome) {
      trace.costUsd = costs.spent(trace.attempts);
      if (!config.current().records.enabled) return;
      const avoided = costs.avoided(trace);
      recorder.record(trace, avoided === undefined ? outcome : { ...outcome, costAvoidedUsd: avoided });
    },
    status: () => recorder.status(),
    captured: () => captures.status(),
    async close() {
      const before = recorder.status().dropped;
      await Promise.all([recorder.close(), captures.close(), journal.close(), upkeep.close()]);
      const lost = recorder.status().dropped - before;
      if (lost > 0) log.warn({ dropped: lost }, 'The database took the last rows no more; they are lost.');
      await store.close();
    },
  };
}
