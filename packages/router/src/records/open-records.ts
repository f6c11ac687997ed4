import { costsInForce } from './costs.ts';
import type { ConfigHandle } from '../config/handle.ts';
import type { Clock } from '../core/clock.ts';
import type { LabelSink } from '../core/judgement.ts';
import type { Logger } from '../core/logger.ts';
import type { Journal } from '../core/journal.ts';
import type { Store } from './tables.ts';
import type { EndedRequest, RequestSink } from '../core/sink.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import { Captures, isCaptured } from './captures.ts';
import { Judgements } from './judgements.ts';
import { Recorder } from './recorder.ts';
import { Refusals } from './refusals.ts';
import { type Refusal, refusalRow, requestRow } from './request-record.ts';
import { keptSignatures, StoredJournal } from './journal.ts';
import type { RouterPeers } from './open-peers.ts';
import { takesLease } from './leases.ts';
import { openStore } from './store/open-store.ts';
import { Upkeep } from './upkeep.ts';
import type { WriteStatus } from './write-behind.ts';

export interface RecordsOptions {
  readonly config: ConfigHandle;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Name of this router; it is settled while LFO starts. */
  readonly router: () => string;
  /** Where several routers share the database, one at a time tidies it up. */
  readonly peers: Pick<RouterPeers, 'id' | 'store'>;
}

/** What is remembered of requests. */
export interface Records extends RequestSink {
  readonly store: Store;
  /** Where signatures of tool calls outlive a restart. */
  readonly signatures: Journal;
  /** Keeps what the judge said of an answer that ran beside the one that was given, as a later attempt of its request. */
  recordShadow(trace: RequestTrace, clientKey: string | undefined, firstAttempt: number): void;
  /** Where labels of local answers go. */
  readonly labels: LabelSink;
  /** US dollars that attempts cost, where their prices are known. */
  readonly costOf: (attempts: readonly AttemptTrace[]) => number | undefined;
  /** What limits count of attempts, in US dollars. */
  readonly charged: (attempts: readonly AttemptTrace[]) => number;
  /** Keeps a request that the server refused before it became one. */
  refused(refusal: Refusal): void;
  /** Whether the database takes rows, how many wait for it and how many were lost. */
  status(): WriteStatus;
  /** The same of the prompts and answers that are kept. */
  captured(): WriteStatus;
  /** A last write; the database is closed once `others`, who use it too, are done. */
  close(others?: Promise<void>): Promise<void>;
}

/** The database never decides whether LFO serves: what it cannot take is counted and said. */
export function openRecords({ config, clock, logger: log, router, peers }: RecordsOptions): Records {
  const store = openStore(config.current());
  const costs = costsInForce(config);
  const recorder = new Recorder(store, clock, (health) => {
    switch (health.type) {
      case 'degraded':
        return log.warn('The database refuses rows; requests are served without records.');
      case 'recovered':
        return log.info({ dropped: health.dropped }, 'The database takes rows again.');
      case 'refused':
        return log.warn(
          { dropped: health.dropped, code: health.error.code },
          'The database refuses some rows as they are; they are dropped and counted.',
        );
    }
  });
  const judgements = new Judgements(store, clock);
  const refusals = new Refusals(store, clock);
  const captures = new Captures(store, clock);
  const signatures = new StoredJournal(store, clock, undefined, keptSignatures, peers.store !== undefined);
  const { store: shared } = peers;
  const upkeep = new Upkeep({
    store,
    clock,
    limits: () => config.current().records,
    ...(shared !== undefined && { isMine: () => takesLease(shared, 'upkeep', peers.id) }),
    onError: () => log.debug('Old records could not be tidied up; tried again in a minute.'),
  });
  const record = ({ trace, delivery, clientKey }: EndedRequest): void => {
    judgements.record(trace, clientKey);
    const avoided = costs.avoided(trace);
    const row = requestRow(trace, {
      ...delivery,
      router: router(),
      ...(clientKey !== undefined && { clientKey }),
      ...(avoided !== undefined && { costAvoidedUsd: avoided }),
    });
    if (row.turned_away === 1) refusals.add(row);
    else recorder.add(row);
  };
  return {
    store,
    signatures,
    recordShadow(trace, clientKey, firstAttempt) {
      if (config.current().records.enabled) judgements.record(trace, clientKey, firstAttempt);
    },
    labels: { add: (label) => (config.current().records.enabled ? judgements.add(label) : undefined) },
    costOf: costs.spent,
    charged: costs.charged,
    begin(request) {
      return isCaptured(request, config.current().records) ? captures.follow(request) : undefined;
    },
    settle(ended) {
      if (config.current().records.enabled) for (const one of ended) record(one);
    },
    refused(refusal) {
      if (config.current().records.enabled) refusals.add(refusalRow(refusal, router()));
    },
    status: () => recorder.status(),
    captured: () => captures.status(),
    async close(others) {
      const before = recorder.status().dropped;
      await Promise.all([
        recorder.close(),
        judgements.close(),
        refusals.close(),
        captures.close(),
        signatures.close(),
        upkeep.close(),
      ]);
      const lost = recorder.status().dropped - before;
      if (lost > 0) log.warn({ dropped: lost }, 'The database did not take the last rows; they are lost.');
      await others;
      await store.close();
    },
  };
}
