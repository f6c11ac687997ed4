import type { FleetView } from '../core/backend.ts';
import type { DeviceFigures, FleetFigures } from '../core/devices.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import { type Add, type Counter, type Histogram, Registry } from './prometheus.ts';

/** What is looked at when somebody asks, rather than counted. */
export interface Gauged {
  readonly fleet: FleetView;
  readonly devices: FleetFigures;
  /** Requests inside the router. */
  readonly inFlight: number;
  /** Those of them that wait for a backend. */
  readonly waiting: number;
  /** Longest delay of the event loop of late, in milliseconds. */
  readonly loopDelayMs: number;
  /** Share of the last second in which the event loop ran, 0 to 1. */
  readonly loopUtilization: number;
  readonly records: {
    readonly pending: number;
    readonly written: number;
    readonly dropped: number;
    readonly degraded: boolean;
  };
  /** Whether the store that counts limits for several routers answers; absent: this process counts. */
  readonly limitsStore?: boolean | undefined;
  /** Of the prompts and answers kept by `records.capture`. */
  readonly captures: { readonly dropped: number };
  readonly spans: { readonly sent: number; readonly dropped: number };
  /** Tool calls that left for Gemini with the sentinel in place of their lost signature. */
  readonly sentinels: number;
  /** Keys in force that will expire, by the names that operators gave them. */
  readonly expiring: readonly { readonly name: string; readonly expiresMs: number }[];
}

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const shortSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const perToken = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1];
const breakers = ['closed', 'open', 'half-open'] as const;

/**
 * Prometheus metrics of finished requests and of the fleet as it is. Labels are closed sets: tiers, configured backends,
 * reasons, our own codes, statuses; never a model's name or anything a client wrote.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #look: () => Gauged;
  readonly #requests = this.#counter('requests_total', 'Requests that ended, whatever their end.', [
    'route',
    'backend',
    'reason',
    'mode',
    'status',
    'dialect',
  ]);
  readonly #duration = this.#histogram(
    'request_duration_seconds',
    'From arrival to the last byte.',
    ['route'],
    seconds,
  );
  readonly #overhead = this.#histogram(
    'overhead_seconds',
    "The router's own work before an attempt.",
    [],
    shortSeconds,
  );
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'From the start of an attempt to its first content.',
    ['tier', 'backend'],
    seconds,
  );
  readonly #perToken = this.#histogram(
    'time_per_output_token_seconds',
    'Mean pace of an answer after its first content.',
    ['tier', 'backend'],
    perToken,
  );
  readonly #held = this.#histogram(
    'gate_hold_seconds',
    'Time an answer was held back to be judged.',
    ['outcome'],
    seconds,
  );
  readonly #queued = this.#histogram(
    'queue_wait_seconds',
    'Time an attempt waited for its backend.',
    ['tier'],
    seconds,
  );
  readonly #tokens = this.#counter('tokens_total', 'Tokens of the answers given.', ['kind', 'tier', 'backend']);
  readonly #attempts = this.#counter('attempts_total', 'Tries at a backend.', ['tier', 'backend', 'outcome', 'code']);
  readonly #violations = this.#counter(
    'egress_violations_total',
    'Answers of the local tier that had left the own network.',
    ['backend'],
  );
  readonly #retries = this.#counter('retries_total', 'Tries that followed a failed one.', ['tier']);
  readonly #escalations = this.#counter('escalations_total', 'Local answers replaced by the cloud.', ['reason']);
  readonly #degraded = this.#counter('degraded_total', 'Local answers given though they did not pass.', []);
  readonly #cost = this.#counter('cost_dollars_total', 'Estimated price of the answers given, in US dollars.', [
    'backend',
  ]);
  /** Attempts by the device's name and their outcome; only those of paired devices are shown. */
  readonly #deviceRequests = new Map<string, Map<string, number>>();
  readonly #refusals = this.#counter('refusals_total', 'Requests refused before they ran.', ['code']);

  readonly #keyRequests = this.#counter('key_requests_total', 'Requests of a key, by what became of them.', [
    'key',
    'outcome',
  ]);
  readonly #keyTokens = this.#counter('key_tokens_total', 'Tokens of the answers given to a key.', ['key', 'kind']);
  readonly #keyCost = this.#counter('key_cost_dollars_total', 'Estimated price of what a key was given.', ['key']);
  readonly #modelRequests = this.#counter('model_requests_total', 'Requests by the model that answered.', [
    'model',
    'outcome',
  ]);
  readonly #modelTokens = this.#counter('model_tokens_total', 'Tokens of the answers of a model.', ['model', 'kind']);

  /** @param build version of LFO and of what it runs on */
  constructor(build: { readonly version: string; readonly node: string; readonly router: string }, look: () => Gauged) {
    this.#look = look;
    this.#gauge('build_info', 'Always 1; the labels say what runs.', ['version', 'node', 'router'], (add) =>
      add([build.version, build.node, build.router], 1),
    );
    this.#addGauges();
  }

  /** Counts a request that has ended; `trace.endMs` is set. */
  observe(trace: RequestTrace, status: number): void {
    const route = trace.route ?? 'none';
    const backend = trace.backend ?? 'none';
    this.#requests.add([route, backend, trace.reason ?? 'none', trace.mode, status, trace.dialect ?? 'none']);
    if (trace.endMs !== undefined) this.#duration.observe([route], (trace.endMs - trace.startMs) / 1000);
    if (trace.overheadMs !== undefined) this.#overhead.observe([], trace.overheadMs / 1000);
    if (trace.degraded) this.#degraded.add([]);
    if (trace.costUsd !== undefined) this.#cost.add([backend], trace.costUsd);
    this.#countTokens(trace, route, backend);
    trace.attempts.forEach((attempt, index) => this.#observeAttempt(attempt, trace.attempts[index - 1]));
  }

  /** Counts whose it was and which model answered: keys by the names that operators gave them, models as they answered. */
  used(key: string, trace: RequestTrace, status: number): void {
    const outcome = outcomeOf(trace, status);
    this.#keyRequests.add([key, outcome]);
    this.#modelRequests.add([trace.model ?? 'none', outcome]);
    if (trace.costUsd !== undefined && trace.costUsd > 0) this.#keyCost.add([key], trace.costUsd);
    if (trace.usage === undefined) return;
    const { promptTokens, completionTokens } = trace.usage;
    this.#keyTokens.add([key, 'prompt'], promptTokens);
    this.#keyTokens.add([key, 'completion'], completionTokens);
    if (trace.model === undefined) return;
    this.#modelTokens.add([trace.model, 'prompt'], promptTokens);
    this.#modelTokens.add([trace.model, 'completion'], completionTokens);
  }

  /** Counts a request that never became one. */
  refused(code: string): void {
    this.#refusals.add([code]);
  }

  /** The text format of Prometheus, version 0.0.4. */
  text(): string {
    return this.#registry.text();
  }

  #countTokens({ usage }: RequestTrace, tier: string, backend: string): void {
    if (usage === undefined) return;
    const count = (kind: string, tokens: number): void => {
      if (tokens > 0) this.#tokens.add([kind, tier, backend], tokens);
    };
    count('prompt', usage.promptTokens);
    count('completion', usage.completionTokens);
    count('reasoning', usage.reasoningTokens ?? 0);
    count('cached', usage.cachedTokens ?? 0);
  }

  #observeAttempt(attempt: AttemptTrace, previous: AttemptTrace | undefined): void {
    const { tier, startMs, leasedMs, firstEventMs, endMs, usage } = attempt;
    const backend = attempt.backend ?? 'none';
    const outcome = attempt.outcome ?? 'none';
    this.#attempts.add([tier, backend, outcome, attempt.error?.code ?? 'none']);
    if (attempt.device !== undefined) {
      const counts = this.#deviceRequests.get(attempt.device) ?? new Map<string, number>();
      this.#deviceRequests.set(attempt.device, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
    }
    if (attempt.leaked !== undefined) this.#violations.add([backend]);
    if (previous?.outcome === 'failed') this.#retries.add([tier]);
    if (outcome === 'escalated') this.#escalations.add([attempt.reason ?? 'none']);
    if (leasedMs !== undefined) this.#queued.observe([tier], (leasedMs - startMs) / 1000);
    if (attempt.heldMs !== undefined) this.#held.observe([outcome], attempt.heldMs / 1000);
    if (firstEventMs === undefined) return;
    this.#firstToken.observe([tier, backend], (firstEventMs - startMs) / 1000);
    const further = (usage?.completionTokens ?? 0) - 1;
    if (endMs !== undefined && further > 0) {
      this.#perToken.observe([tier, backend], (endMs - firstEventMs) / 1000 / further);
    }
  }

  #addGauges(): void {
    const look = this.#look;
    const single = (name: string, help: string, value: (now: Gauged) => number): void => {
      this.#gauge(name, help, [], (add) => add([], value(look())));
    };
    single('requests_in_flight', 'Requests inside the router.', (now) => now.inFlight);
    single('requests_waiting', 'Those of them that wait for a backend.', (now) => now.waiting);
    single('event_loop_lag_seconds', 'Longest delay of the event loop of late.', (now) => now.loopDelayMs / 1000);
    single(
      'event_loop_utilization',
      'Share of the last second in which the event loop ran.',
      (now) => now.loopUtilization,
    );
    single('records_pending', 'Rows that wait for the database.', ({ records }) => records.pending);
    single('records_degraded', '1 while the database refuses rows.', ({ records }) => (records.degraded ? 1 : 0));
    this.#counted('records_written_total', 'Rows the database took.', () => look().records.written);
    this.#counted('records_dropped_total', 'Rows that were lost.', () => look().records.dropped);
    this.#counted(
      'captures_dropped_total',
      'Requests whose prompt and answer were lost.',
      () => look().captures.dropped,
    );
    this.#counted('spans_sent_total', 'Spans the collector took.', () => look().spans.sent);
    this.#counted('gemini_sentinels_total', 'Calls sent without their signature.', () => look().sentinels);
    this.#counted('spans_dropped_total', 'Spans that were lost.', () => look().spans.dropped);
    this.#gauge('key_expires_timestamp_seconds', 'Unix time at which a key in force expires.', ['key'], (add) => {
      const first = new Map<string, number>();
      for (const { name, expiresMs } of look().expiring)
        first.set(name, Math.min(first.get(name) ?? Infinity, expiresMs));
      for (const [name, expiresMs] of first) add([name], expiresMs / 1000);
    });
    this.#gauge('limits_store', '1 at the state of the store that counts for several routers.', ['state'], (add) => {
      const isAnswering = look().limitsStore;
      if (isAnswering === undefined) return;
      add(['answering'], isAnswering ? 1 : 0);
      add(['away'], isAnswering ? 0 : 1);
    });
    this.#fleetGauges();
    this.#deviceMetrics();
  }

  #fleetGauges(): void {
    const each = (
      name: string,
      help: string,
      value: (backend: FleetView['backends'][number]) => number | undefined,
    ): void => {
      this.#gauge(name, help, ['backend', 'tier'], (add) => {
        for (const backend of this.#look().fleet.backends) {
          const measured = value(backend);
          if (measured !== undefined) add([backend.id, backend.tier], measured);
        }
      });
    };
    each('backend_up', '1 while a backend is ready.', ({ status }) => (status.state === 'ready' ? 1 : 0));
    each('backend_in_flight', 'Requests at a backend.', ({ inFlight }) => inFlight);
    each('backend_queued', "Requests in a backend's own queue.", ({ status }) => status.queued);
    each('backend_decode_tokens_per_second', 'Pace of its answers as measured.', ({ status }) => status.decodeRate);
    each('backend_prefill_tokens_per_second', 'Pace of its reading as measured.', ({ status }) => status.prefillRate);
    this.#gauge('backend_breaker_state', '1 at the state its breaker is in.', ['backend', 'state'], (add) => {
      for (const { id, breaker } of this.#look().fleet.backends) {
        for (const state of breakers) add([id, state], state === breaker ? 1 : 0);
      }
    });
  }

  /** By the names of paired devices: a removed one's series go. */
  #deviceMetrics(): void {
    const each = (name: string, help: string, value: (device: DeviceFigures) => number | undefined): void => {
      this.#gauge(name, help, ['device'], (add) => {
        for (const device of this.#look().devices.devices) {
          const measured = value(device);
          if (measured !== undefined) add([device.name], measured);
        }
      });
    };
    each('device_up', '1 while a device is connected.', ({ isUp }) => (isUp ? 1 : 0));
    each('device_queued', "Requests in a device's own queue.", ({ queued }) => queued);
    each('device_in_flight', 'Requests at a device.', ({ name }) => {
      const view = this.#look().fleet.backends.find(({ device }) => device?.name === name);
      return view?.inFlight;
    });
    each('device_rtt_seconds', 'Smoothed round trip to a device.', ({ rttMs }) => rttMs && rttMs / 1000);
    each('device_prefill_tokens_per_second', 'Speed of reading a prompt.', ({ prefillRate }) => prefillRate);
    each('device_decode_tokens_per_second', 'Speed of writing an answer.', ({ decodeRate }) => decodeRate);
    each('device_battery_ratio', 'Charge of its battery.', ({ battery }) => battery);
    each('device_thermal_status', '0 none to 6 shut-down.', ({ thermal }) => thermal);
    const counted = (
      name: string,
      help: string,
      label: string,
      counts: (device: DeviceFigures) => ReadonlyMap<string, number> | undefined,
    ): void => {
      this.#collected(name, help, ['device', label], (add) => {
        for (const device of this.#look().devices.devices) {
          for (const [value, count] of counts(device) ?? []) add([device.name, value], count);
        }
      });
    };
    counted('device_requests_total', 'Tries at a device.', 'outcome', ({ name }) => this.#deviceRequests.get(name));
    counted('device_links_total', 'Links that ended.', 'end', ({ ends }) => ends);
    counted('device_resumes_total', 'Sessions whose link was lost.', 'result', ({ resumes }) => resumes);
    counted('device_ejections_total', 'Times it was left alone for a while.', 'reason', ({ ejections }) => ejections);
    counted('device_clipped_total', 'Fields of its messages cut or left out.', 'what', ({ clipped }) => clipped);
    const totals = (
      name: string,
      help: string,
      label: string,
      counts: (figures: FleetFigures) => ReadonlyMap<string, number>,
    ): void => {
      this.#collected(name, help, [label], (add) => {
        for (const [value, count] of counts(this.#look().devices)) add([value], count);
      });
    };
    totals('fleet_refused_total', 'Links that came to nothing.', 'reason', ({ refused }) => refused);
    totals('pairings_total', 'Pairings that have ended.', 'result', ({ pairings }) => pairings);
    totals('wakes_total', 'Machines that were woken.', 'result', ({ wakes }) => wakes);
  }

  /** A counter with labels that somebody else counts. */
  #collected(name: string, help: string, labels: readonly string[], collect: (add: Add) => void): void {
    this.#registry.collected({ name: `lfo_${name}`, help, type: 'counter' }, labels, collect);
  }

  #counted(name: string, help: string, count: () => number): void {
    this.#collected(name, help, [], (add) => add([], count()));
  }

  #gauge(name: string, help: string, labels: readonly string[], collect: (add: Add) => void): void {
    this.#registry.collected({ name: `lfo_${name}`, help, type: 'gauge' }, labels, collect);
  }

  #counter(name: string, help: string, labels: readonly string[]): Counter {
    return this.#registry.counter(`lfo_${name}`, help, labels);
  }

  #histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    return this.#registry.histogram(`lfo_${name}`, help, labels, bounds);
  }
}

/** As `lfo stats` counts it. */
function outcomeOf({ route, attempts, finishReason }: RequestTrace, status: number): string {
  if (status === 499) return 'left';
  if (finishReason !== undefined && route !== undefined) return route;
  return attempts.length === 0 && status < 500 ? 'refused' : 'failed';
}
