import { useComputed, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { LiveCounters } from '@lfo/router/src/records/request-view.ts';
import { connection, counters, requests } from '../api/live.ts';
import { count, percent, plural } from '../format.ts';
import { Command } from '../parts/command.tsx';
import { LatencyLegend } from '../parts/latency-bar.tsx';
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
      <Tile label="Running" value={count(now.running)} note="now" />
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
    </dl>
  );
}

function Rows({ list }: { list: HeldList }) {
  const shown = list.shown.value;
  if (shown.length === 0 && connection.value === 'connecting') return <Loading />;
  if (shown.length === 0) return <NoRequests />;
  return (
    <>
      <RowHead />
      <RequestRows requests={shown} />
      <p class="foot">
        <Link to="/requests">All requests on record</Link>
      </p>
    </>
  );
}

function NoRequests() {
  return (
    <Empty title="No request has come yet.">
      <p>Point any OpenAI client at this address, or send one from here:</p>
      <Command
        text={`curl ${location.origin}/v1/chat/completions \\\n  -H 'content-type: application/json' \\\n  -d '{"messages":[{"role":"user","content":"Hello"}]}'`}
      />
      <p>
        Or try the <Link to="/playground">playground</Link>. What came before LFO was started is under{' '}
        <Link to="/requests">Requests</Link>.
      </p>
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
  const held = useSignal<ReadonlySet<string> | undefined>(undefined);
  useEffect(() => {
    const onScroll = (): void => {
      isScrolled.value = scrollY > readingBelowPx;
      update();
    };
    addEventListener('scroll', onScroll, { passive: true });
    return () => removeEventListener('scroll', onScroll);
  }, []);

  const current = (): ReadonlySet<string> => new Set(requests.value.map(({ id }) => id));
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
    shown: useComputed(() => requests.value.filter(({ id }) => held.value?.has(id) ?? true)),
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
