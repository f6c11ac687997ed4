import { useComputed, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { GroupedSummary } from '@lfo/router/src/records/history.ts';
import type { LiveCounters, RequestView } from '@lfo/router/src/records/request-view.ts';
import { useLatest, useResource } from '../api/resource.ts';
import { connection, counters, requestRate, requests, status } from '../api/live.ts';
import { change, changeOfShare, count, duration, money, perSecond, percent, plural } from '../format.ts';
import { percentile } from '../percentile.ts';
import { Command } from '../parts/command.tsx';
import { LatencyLegend, latencyScale } from '../parts/latency-bar.tsx';
import { Link } from '../parts/link.tsx';
import { RequestRows, RowHead } from '../parts/request-rows.tsx';
import { Empty, Loading, Tile, ViewHead } from '../parts/states.tsx';

/** Further than this from the top, the viewer is reading. */
const readingBelowPx = 160;

/** Requests as they happen. Counters move at once; rows wait while one reads. */
export function NowView() {
  const list = useHeldList();
  return (
    <>
      <ViewHead title="Now">
        <button type="button" class="quiet" aria-pressed={list.isPaused.value} onClick={list.togglePause}>
          {list.isPaused.value ? 'Resume' : 'Pause'}
        </button>
      </ViewHead>
      <Counters />
      <Today />
      <section
        class="card flush"
        aria-label="Latest requests"
        onPointerEnter={list.onPointerEnter}
        onPointerLeave={list.onPointerLeave}
        onFocusIn={list.onFocusIn}
        onFocusOut={list.onFocusOut}
      >
        <div class="card-head">
          <h2>Latest requests</h2>
          <LatencyLegend />
        </div>
        <div class="news" aria-live="polite">
          {list.waiting.value > 0 && (
            <button type="button" class="pill" onClick={list.release}>
              {count(list.waiting.value)} new
            </button>
          )}
        </div>
        <Rows list={list} />
      </section>
    </>
  );
}

function Counters() {
  const now: LiveCounters = counters.value ?? { started: 0, running: 0, local: 0, cloud: 0, escalated: 0, failed: 0 };
  const answered = now.local + now.cloud;
  return (
    <dl class="tiles" aria-label="Since LFO was started">
      <Tile label="Requests" value={count(now.started)} to="/requests" note="since the start" />
      <Tile label="Running" value={count(now.running)} note={runningNote()} />
      <Tile
        label="Local share"
        value={answered === 0 ? '–' : percent(now.local / answered)}
        note={`${count(now.local)} of ${plural(answered, 'answer')}`}
        tone="local"
      />
      <Tile label="Escalated" value={count(now.escalated)} note="local first, then cloud" tone="cloud" />
      <Tile
        label="Failed"
        value={count(now.failed)}
        to="/requests?outcome=failed"
        note="without an answer"
        tone={now.failed > 0 ? 'failed' : ''}
      />
      <LiveLatency />
    </dl>
  );
}

function runningNote(): string {
  return requestRate.value === undefined ? 'now' : `now, ${perSecond(requestRate.value)} come in`;
}

/** Of the answers that the page knows: the latest two hundred at most. */
function LiveLatency() {
  const times = requests.value.flatMap(({ state, errorCode, totalMs }) =>
    state === 'done' && errorCode === null && totalMs !== null ? [totalMs] : [],
  );
  return (
    <Tile
      label="p95 latency"
      value={duration(percentile(times, 0.95))}
      to="/requests?outcome=ok&sort=slowest"
      note={times.length === 0 ? 'no answer yet' : `of ${plural(times.length, 'answer')}`}
    />
  );
}

const dayMs = 86_400_000;

/** The day so far, beside the day before until the same time of day. */
function Today() {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const from = midnight.getTime();
  // In steps of minutes, so that the address stays the same for one.
  const until = Math.ceil(Date.now() / 60_000) * 60_000 - dayMs;
  const today = useResource<GroupedSummary>(`/dashboard/api/usage?from=${from}`, 30_000).value;
  const before = useLatest(
    useResource<GroupedSummary>(`/dashboard/api/usage?from=${from - dayMs}&until=${until}`).value,
  );
  if (today === undefined || before === undefined || (today.requests === 0 && before.requests === 0)) return null;
  const since = `fromMs=${from}`;
  const items = [
    ['requests', count(today.requests), change(today.requests, before.requests), `/requests?${since}`],
    [
      'local',
      percent(today.localShare),
      changeOfShare(today.localShare, before.localShare),
      `/requests?route=local&${since}`,
    ],
    [
      'p95',
      duration(today.latencyMs.all.p95),
      change(today.latencyMs.all.p95, before.latencyMs.all.p95),
      `/requests?sort=slowest&${since}`,
    ],
    ['failed', count(today.failed), change(today.failed, before.failed), `/requests?outcome=failed&${since}`],
    ['spent', money(today.costUsd), change(today.costUsd, before.costUsd), `/requests?sort=dearest&${since}`],
  ] as const;
  return (
    <dl class="today" aria-label="Today, compared with yesterday up to this time">
      <div>
        <dt>Today</dt>
        <dd class="dim">compared with yesterday up to this time</dd>
      </div>
      {items.map(([name, value, beside, to]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <Link to={to} class="number strong">
              {value}
            </Link>{' '}
            <span class="dim number">{beside}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Rows({ list }: { list: HeldList }) {
  const shown = list.shown.value;
  if (shown.length === 0 && connection.value === 'connecting') return <Loading />;
  if (shown.length === 0) return <NoRequests />;
  const scaleMs = latencyScale(shown);
  return (
    <>
      <RowHead scaleMs={scaleMs} />
      <RequestRows requests={shown} scaleMs={scaleMs} />
      <p class="foot">
        <Link to="/requests">All requests on record</Link>
      </p>
    </>
  );
}

/** Each step once the one before is done: a model that loads, a first request, a cloud, an agent, another machine. */
function NoRequests() {
  const now = status.value;
  const loading = now?.backends.find(({ state }) => state === 'loading');
  const hasCloud = now?.backends.some(({ tier }) => tier === 'cloud') ?? true;
  return (
    <Empty title="No request has come yet.">
      {loading !== undefined && now?.ready !== true && (
        <div class="step">
          <p>
            {loading.id} is loading{loading.progress === null ? '…' : `: ${percent(loading.progress)}`}
          </p>
          <progress
            aria-label={`${loading.id} is loading`}
            {...(loading.progress !== null && { value: loading.progress })}
          />
        </div>
      )}
      <p>Point any OpenAI client at this address, or send one from here:</p>
      <Command
        text={`curl ${location.origin}/v1/chat/completions \\\n  -H 'content-type: application/json' \\\n  -d '{"messages":[{"role":"user","content":"Hello"}]}'`}
      />
      <p>
        Or try the <Link to="/playground">playground</Link>.
      </p>
      <ul class="next">
        {!hasCloud && (
          <li>
            <strong>Add a cloud</strong>, which answers when the local model is not sure: start LFO with{' '}
            <code>GEMINI_API_KEY</code> set.
          </li>
        )}
        <li>
          <strong>Point your agent here</strong>: <code>lfo launch claude</code>, <code>codex</code>,{' '}
          <code>gemini</code> and others.
        </li>
        <li>
          <strong>Add a laptop or a phone</strong> under <Link to="/fleet">Fleet</Link>.
        </li>
      </ul>
    </Empty>
  );
}

type HeldList = ReturnType<typeof useHeldList>;

/** The live list, held still while the viewer points at it, is in it with the keyboard, has scrolled, or paused it. */
function useHeldList() {
  const isPaused = useSignal(false);
  const isPointed = useSignal(false);
  const isFocused = useSignal(false);
  const isScrolled = useSignal(false);
  /** The rows themselves: the live list forgets them once enough others have come. */
  const held = useSignal<Map<string, RequestView> | undefined>(undefined);
  useEffect(() => {
    const onScroll = (): void => {
      isScrolled.value = scrollY > readingBelowPx;
      update();
    };
    addEventListener('scroll', onScroll, { passive: true });
    return () => removeEventListener('scroll', onScroll);
  }, []);

  const current = (): Map<string, RequestView> => new Map(requests.value.map((request) => [request.id, request]));
  function update(): void {
    const isReading = isPaused.value || isPointed.value || isFocused.value || isScrolled.value;
    held.value = isReading ? (held.value ?? current()) : undefined;
  }
  const set = (what: typeof isPaused, value: boolean): void => {
    what.value = value;
    update();
  };
  return {
    isPaused,
    shown: useComputed(() => (held.value === undefined ? requests.value : latestOf(held.value, requests.value))),
    waiting: useComputed(() =>
      held.value === undefined ? 0 : requests.value.filter(({ id }) => held.value?.has(id) === false).length,
    ),
    togglePause: () => set(isPaused, !isPaused.value),
    release: () => {
      // The button goes, and the focus with it.
      isFocused.value = false;
      held.value = undefined;
      update();
      scrollTo({ top: 0 });
    },
    onPointerEnter: ({ pointerType }: PointerEvent) => pointerType === 'mouse' && set(isPointed, true),
    onPointerLeave: () => set(isPointed, false),
    onFocusIn: () => set(isFocused, true),
    onFocusOut: () => set(isFocused, false),
  };
}

/** The rows that are held, each as it was last heard of. */
function latestOf(held: Map<string, RequestView>, requests: readonly RequestView[]): readonly RequestView[] {
  for (const request of requests) if (held.has(request.id)) held.set(request.id, request);
  return [...held.values()];
}
