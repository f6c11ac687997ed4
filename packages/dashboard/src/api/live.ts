import { batch, signal } from '@preact/signals';
import type { LiveEvents, StatusBody } from '@lfo/router/src/admin/wire.ts';
import type { HeldView, LiveCounters, RequestView } from '@lfo/router/src/records/request-view.ts';
import { goToLogin, loadSession } from './client.ts';

/** Latest requests, the newest first. */
export const requests = signal<readonly RequestView[]>([]);
export const counters = signal<LiveCounters | undefined>(undefined);
export const status = signal<StatusBody | undefined>(undefined);
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting');
/** Requests a second over the last ten; `undefined` until that was watched for a moment. */
export const requestRate = signal<number | undefined>(undefined);
/**
 * Names this page to the router: requests with it in `x-lfo-watch` show here what is held back of them.
 * (`crypto.randomUUID` is not there without TLS on another machine than the router's.)
 */
export const reader = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
  byte.toString(16).padStart(2, '0'),
).join('');

const maxRequests = 200;
/** Changes are shown this often at most, so that a busy router does not keep the page busy. */
const showEveryMs = 80;
const retryMs = 2_000;

/** Counts of the last ten seconds, the oldest first. */
const rateWindowMs = 10_000;
const samples: { readonly atMs: number; readonly started: number }[] = [];

const heldListeners = new Set<(held: HeldView) => void>();

/** Calls with what is held back of this page's own requests, whatever view is open. */
export function onHeld(run: (held: HeldView) => void): void {
  heldListeners.add(run);
}

const known = new Map<string, RequestView>();
let latestCounters: LiveCounters | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let source: EventSource | undefined;

/** Follows the router until the page goes away; comes back by itself and gets what it missed. */
export function follow(): void {
  if (source !== undefined) return;
  const stream = new EventSource(`/dashboard/api/live?reader=${reader}`);
  sampling ??= setInterval(sample, 1_000);
  source = stream;
  stream.addEventListener('open', () => {
    connection.value = 'live';
  });
  stream.addEventListener('error', () => {
    connection.value = 'lost';
    if (stream.readyState !== EventSource.CLOSED) return;
    // The browser has given up: refused. Either the session is over, or the router is too busy for one more.
    source = undefined;
    setTimeout(() => void reopen(), retryMs);
  });
  on('snapshot', ({ counters, requests: list }) => {
    known.clear();
    for (const request of list) known.set(request.id, request);
    show(counters);
  });
  on('missed', ({ counters, requests: list }) => {
    for (const request of list) known.set(request.id, request);
    show(counters);
  });
  on('request', ({ counters, request }) => {
    known.set(request.id, request);
    show(counters);
  });
  on('status', (body) => {
    status.value = body;
  });
  on('held', (held) => {
    for (const run of heldListeners) run(held);
  });

  function on<Name extends keyof LiveEvents>(name: Name, run: (body: LiveEvents[Name]) => void): void {
    stream.addEventListener(name, ({ data }: MessageEvent<string>) => {
      const body: LiveEvents[Name] = JSON.parse(data);
      run(body);
    });
  }
}

let sampling: ReturnType<typeof setInterval> | undefined;

function sample(): void {
  if (latestCounters === undefined || connection.value !== 'live') return;
  const { started } = latestCounters;
  const atMs = performance.now();
  // A router that was started anew counts from nothing.
  if (started < (samples.at(-1)?.started ?? 0)) samples.length = 0;
  samples.push({ atMs, started });
  while (samples.length > 2 && atMs - (samples[1]?.atMs ?? atMs) >= rateWindowMs) samples.shift();
  const [first] = samples;
  if (first === undefined || atMs - first.atMs < 900) return;
  requestRate.value = ((started - first.started) * 1_000) / (atMs - first.atMs);
}

async function reopen(): Promise<void> {
  try {
    await loadSession();
    follow();
  } catch (error) {
    if (error instanceof Error && 'status' in error && error.status === 401) goToLogin();
    else setTimeout(() => void reopen(), retryMs);
  }
}

function show(counters: LiveCounters): void {
  latestCounters = counters;
  timer ??= setTimeout(flush, showEveryMs);
}

function flush(): void {
  timer = undefined;
  const sorted = [...known.values()].toSorted((a, b) => (a.id < b.id ? 1 : -1));
  for (const { id } of sorted.slice(maxRequests)) known.delete(id);
  batch(() => {
    counters.value = latestCounters;
    requests.value = sorted.slice(0, maxRequests);
  });
}
