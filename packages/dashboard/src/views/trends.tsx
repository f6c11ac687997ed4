import { useMemo, useState } from 'preact/hooks';
import type { SettingsBody } from '@lfo/router/src/admin/wire.ts';
import type { GroupedSummary, Trends } from '@lfo/router/src/records/history.ts';
import { keyNames } from '../api/keys.ts';
import { useResource } from '../api/resource.ts';
import { Chart } from '../charts/chart.tsx';
import { change, count, duration, money, percent, plural, stepLength, timeSpan, timeZone } from '../format.ts';
import { go, place } from '../navigation.ts';
import { Link } from '../parts/link.tsx';
import { chosenRange, RangeTabs } from '../parts/range-tabs.tsx';
import { Empty, Failure, Loading, Tile, ViewHead } from '../parts/states.tsx';
import { UsageTable } from '../parts/usage-table.tsx';

const reloadMs = 15_000;

/** How requests, latency, tokens and money went over time. */
export function TrendsView() {
  const query = chosenQuery();
  const { value, error, reload } = useResource<Trends>(`/dashboard/api/trends?${query}`, reloadMs);
  const settings = useResource<SettingsBody>('/dashboard/api/settings');
  const asked = place.value.query;
  const [from, until] = [Number(asked.get('from')), Number(asked.get('until'))];
  const [key, model] = [asked.get('key'), asked.get('model')];
  return (
    <>
      <ViewHead title="Trends">
        <RangeTabs />
        <FreeRange />
      </ViewHead>
      {(from > 0 || key !== null || model !== null) && (
        <p class="lead">
          {from > 0 && `${timeSpan(from, until > 0 ? until : Date.now())} `}
          {key !== null && `Key ${keyNames.value.get(key) ?? key} alone `}
          {model !== null && `Model ${model} alone `}
          <Link to="/trends">Show everything</Link>
        </p>
      )}
      {value !== undefined && (
        <TrendCharts trends={value} query={query} savedAgainst={settings.value?.savedAgainst ?? null} />
      )}
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

/** What of the address chooses the time and the requests. */
function chosenQuery(): string {
  const { query } = place.value;
  const asked = new URLSearchParams({ range: chosenRange() });
  for (const name of ['from', 'until', 'key', 'model'] as const) {
    const value = query.get(name);
    if (value !== null && value !== '') asked.set(name, value);
  }
  return asked.toString();
}

function zoomTo(fromMs: number, untilMs: number): void {
  const query = new URLSearchParams(chosenQuery());
  query.set('from', String(Math.round(fromMs)));
  query.set('until', String(Math.round(untilMs)));
  go(`/trends?${query}`);
}

/** Any time: two moments, in the viewer's zone. */
function FreeRange() {
  const { query } = place.value;
  const [from, setFrom] = useState(localText(Number(query.get('from'))));
  const [until, setUntil] = useState(localText(Number(query.get('until'))));
  const submit = (event: Event): void => {
    event.preventDefault();
    const [fromMs, untilMs] = [Date.parse(from), until === '' ? Date.now() : Date.parse(until)];
    if (fromMs < untilMs) zoomTo(fromMs, untilMs);
  };
  return (
    <details class="free-range">
      <summary>Other time</summary>
      <form class="fields" onSubmit={submit}>
        <label>
          From <input type="datetime-local" value={from} onInput={({ currentTarget: { value } }) => setFrom(value)} />
        </label>
        <label>
          until{' '}
          <input type="datetime-local" value={until} onInput={({ currentTarget: { value } }) => setUntil(value)} />
        </label>
        <button type="submit" disabled={from === ''}>
          Show
        </button>
      </form>
    </details>
  );
}

/** As `<input type="datetime-local">` has it; empty for nothing. */
function localText(timeMs: number): string {
  if (!(timeMs > 0)) return '';
  const date = new Date(timeMs - new Date(timeMs).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
}

/** The sums of the time before, of the same length. */
function useBefore({ timesMs, stepMs }: Trends): GroupedSummary | undefined {
  const fromMs = timesMs[0] ?? 0;
  const spanMs = timesMs.length * stepMs;
  const asked = new URLSearchParams({ ...onlyOf(), from: String(fromMs - spanMs), until: String(fromMs) });
  const { value } = useResource<GroupedSummary>(`/dashboard/api/usage?${asked}`);
  return value?.requests === 0 ? undefined : value;
}

/** What of the address names a key or a model. */
function onlyOf(): Readonly<Record<string, string>> {
  const { query } = place.value;
  return Object.fromEntries(
    ['key', 'model'].flatMap((name) => (query.get(name) ? [[name, query.get(name) ?? '']] : [])),
  );
}

/** The requests that are counted, as filters of their list. */
function spanOf({ timesMs }: Trends): string {
  const until = place.value.query.get('until');
  return new URLSearchParams({
    ...onlyOf(),
    fromMs: String(timesMs[0] ?? 0),
    ...(until !== null && until !== '' && { untilMs: until }),
  }).toString();
}

interface TrendChartsProps {
  readonly trends: Trends;
  readonly query: string;
  readonly savedAgainst: string | null;
}

function TrendCharts({ trends, query, savedAgainst }: TrendChartsProps) {
  const charts = useMemo(() => seriesOf(trends), [trends]);
  const { timesMs, latency, firstToken, marks } = trends;
  const before = useBefore(trends);
  const span = spanOf(trends);
  const step = stepLength(trends.stepMs);
  const sums = {
    local: sum(trends.local),
    cloud: sum(trends.cloud),
    failed: sum(trends.failed),
    refused: sum(trends.refused),
    left: sum(trends.left),
    escalated: sum(trends.escalated),
  };
  const answered = sums.local + sums.cloud;
  const all = answered + sums.failed + sums.refused + sums.left;
  if (all === 0) {
    return (
      <Empty title="Nothing was asked in this time.">
        <p>
          Choose a longer range, or send a request from the <Link to="/playground">playground</Link>.
        </p>
      </Empty>
    );
  }
  const tier = latency.local.all.p50 === null ? 'cloud' : 'local';
  const shared = { timesMs, marks, onZoom: zoomTo };
  return (
    <>
      <Gaps gaps={trends.gaps} />
      <dl class="tiles">
        <Tile
          label="Requests"
          value={count(all)}
          to={`/requests?${span}`}
          note={`${count(sums.failed)} failed, ${count(sums.refused)} refused, ${count(sums.left)} left`}
          beside={change(all, before?.requests)}
        />
        <Tile
          label="Local share"
          value={percent(sums.local / answered)}
          note={`${count(sums.local)} of ${plural(answered, 'answer')}`}
          to={`/requests?route=local&${span}`}
          tone="local"
          beside={change(sums.local / answered, before?.localShare)}
        />
        <Tile
          label="Median latency"
          value={duration(latency[tier].all.p50)}
          note={tier}
          to={`/requests?sort=slowest&${span}`}
          beside={change(latency[tier].all.p50, before?.latencyMs[tier].p50)}
        />
        <Tile
          label="Escalated"
          value={count(sums.escalated)}
          note={`${duration(sum(trends.escalatedLocalMs))} spent locally first`}
          to={`/requests?outcome=escalated&${span}`}
          tone="cloud"
          beside={change(sums.escalated, before?.escalated)}
        />
        <Tile
          label="First token"
          value={duration(firstToken.local.all.p50 ?? firstToken.cloud.all.p50)}
          note="median"
        />
        <Tile
          label="Spent"
          value={money(sum(trends.costUsd))}
          note={
            savedAgainst === null
              ? 'no cloud model to save against'
              : `${money(sum(trends.savedUsd))} saved (against ${savedAgainst} at list price)`
          }
          tone="cloud"
          to={`/requests?sort=dearest&${span}`}
          beside={change(sum(trends.costUsd), before?.costUsd)}
        />
      </dl>
      <div class="charts">
        <Chart
          {...shared}
          title="Requests"
          unit={`per ${step}`}
          series={charts.requests}
          shape="bars"
          format={count}
          empty="No requests."
        />
        <Chart
          {...shared}
          title="Local share"
          unit="share of the answers"
          series={charts.share}
          shape="lines"
          max={1}
          format={percent}
          empty="No answer came from the local tier."
        />
        <Chart
          {...shared}
          title="Latency"
          unit="whole request: median, and up to p95 (± 5 %)"
          series={charts.latency}
          shape="lines"
          format={duration}
          empty="No answers."
        />
        <Chart
          {...shared}
          title="Time to first token"
          unit="median, and up to p95 (± 5 %)"
          series={charts.firstToken}
          shape="lines"
          format={duration}
          empty="No answers."
        />
        <Chart
          {...shared}
          title="Wait for the local first token"
          unit="means: as routing predicted it, and as it was"
          series={charts.waits}
          shape="lines"
          format={duration}
          empty="Nothing was predicted in this time."
        />
        <Chart
          {...shared}
          title="Lost to escalation"
          unit={`local time before the cloud answered, per ${step}`}
          series={charts.lost}
          shape="bars"
          format={duration}
          empty="No request was escalated."
        />
        <Chart
          {...shared}
          title="Tokens"
          unit={`per ${step}`}
          series={charts.tokens}
          shape="bars"
          format={count}
          empty="No backend has counted tokens."
        />
        <Chart
          {...shared}
          title="Money"
          unit={`US dollars per ${step}, at list prices`}
          series={charts.money}
          shape="bars"
          format={money}
          empty="Nothing was spent: no cloud answer with a known price in this time."
        />
      </div>
      <UsageTable query={query} span={span} />
      <p class="hint">
        Times are those of {timeZone()}. Drag over a chart to zoom in. Dashed lines mark starts and changes of the
        configuration. Small percentages compare with the period before, of the same length.
      </p>
    </>
  );
}

function seriesOf(trends: Trends) {
  const share = trends.local.map((local, index) => {
    const answers = local + (trends.cloud[index] ?? 0);
    return answers === 0 ? null : local / answers;
  });
  const tiers = ({ local, cloud, escalated }: Trends['latency']) =>
    [
      ['Local', 'local', local] as const,
      ['Cloud', 'cloud', cloud] as const,
      ['Escalated', 'warn', escalated] as const,
    ].flatMap(([name, colour, { p50, p95, all }]) => [
      { label: `${name} p50`, colour, values: p50, all: all.p50 },
      { label: `${name} p95`, colour, values: p95, all: all.p95, isBand: true },
    ]);
  const summed = (label: string, colour: string, values: readonly number[]) => ({
    label,
    colour,
    values,
    all: sum(values),
  });
  const atOnce = trends.cloud.map((cloud, index) => cloud - (trends.escalated[index] ?? 0));
  const answers = sum(trends.local) + sum(trends.cloud);
  return {
    requests: [
      summed('Local', 'local', trends.local),
      summed('Cloud at once', 'cloud', atOnce),
      summed('Escalated', 'warn', trends.escalated),
      summed('Failed', 'failed', trends.failed),
      summed('Refused', 'muted-fill', trends.refused),
      summed('Left', 'line', trends.left),
    ],
    share: [
      { label: 'Local', colour: 'local', values: share, all: answers === 0 ? null : sum(trends.local) / answers },
    ],
    latency: tiers(trends.latency),
    firstToken: tiers(trends.firstToken),
    waits: [
      { label: 'Predicted', colour: 'muted-fill', values: trends.predictedWaitMs, all: mean(trends.predictedWaitMs) },
      { label: 'Real', colour: 'local', values: trends.waitMs, all: mean(trends.waitMs) },
    ],
    lost: [summed('Local attempts', 'warn', trends.escalatedLocalMs)],
    tokens: [
      summed('Prompt', 'muted-fill', trends.promptTokens),
      summed('Completion', 'local', trends.completionTokens),
    ],
    money: [summed('Spent', 'cloud', trends.costUsd), summed('Saved', 'local', trends.savedUsd)],
  };
}

/** The charts fall short where rows were lost; better said than believed. */
function Gaps({ gaps }: Pick<Trends, 'gaps'>) {
  if (gaps.length === 0) return null;
  return (
    <div class="notice" role="note">
      <p>
        {plural(sum(gaps.map(({ requests }) => requests)), 'request')} of this time were answered but not recorded,
        since the database took no rows:
      </p>
      <ul class="number">
        {gaps.map(({ fromMs, untilMs, requests }) => (
          <li key={fromMs}>
            {timeSpan(fromMs, untilMs)}
            {gaps.length > 1 && `: ${plural(requests, 'request')}`}
          </li>
        ))}
      </ul>
    </div>
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : sum(known) / known.length;
}
