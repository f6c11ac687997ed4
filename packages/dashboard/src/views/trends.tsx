import { useMemo } from 'preact/hooks';
import type { Trends } from '@lfo/router/src/records/history.ts';
import { useResource } from '../api/resource.ts';
import { Chart } from '../charts/chart.tsx';
import { count, duration, money, percent, plural, stepLength, timeSpan, timeZone } from '../format.ts';
import { Link } from '../parts/link.tsx';
import { chosenRange, RangeTabs } from '../parts/range-tabs.tsx';
import { Empty, Failure, Loading, Tile, ViewHead } from '../parts/states.tsx';

const reloadMs = 15_000;

/** How requests, latency, tokens and money went over time. */
export function TrendsView() {
  const range = chosenRange();
  const { value, error, reload } = useResource<Trends>(`/dashboard/api/trends?range=${range}`, reloadMs);
  return (
    <>
      <ViewHead title="Trends">
        <RangeTabs />
      </ViewHead>
      {value !== undefined && <TrendCharts trends={value} />}
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

function TrendCharts({ trends }: { trends: Trends }) {
  const charts = useMemo(() => seriesOf(trends), [trends]);
  const { timesMs, latency, firstToken } = trends;
  const step = stepLength(trends.stepMs);
  const [local, cloud, failed] = [sum(trends.local), sum(trends.cloud), sum(trends.failed)];
  if (local + cloud + failed === 0) {
    return (
      <Empty title="Nothing was asked in this time.">
        <p>
          Choose a longer range, or send a request from the <Link to="/playground">playground</Link>.
        </p>
      </Empty>
    );
  }
  const p = latency.local.all.p50 === null ? latency.cloud.all : latency.local.all;
  return (
    <>
      <Gaps gaps={trends.gaps} />
      <dl class="tiles">
        <Tile label="Requests" value={count(local + cloud + failed)} to="/requests" note={`${count(failed)} failed`} />
        <Tile
          label="Local share"
          value={percent(local / (local + cloud))}
          note={`${count(local)} of ${plural(local + cloud, 'answer')}`}
          tone="local"
        />
        <Tile
          label="Median latency"
          value={duration(p.p50)}
          note={latency.local.all.p50 === null ? 'cloud' : 'local'}
        />
        <Tile
          label="First token"
          value={duration(firstToken.local.all.p50 ?? firstToken.cloud.all.p50)}
          note="median"
        />
        <Tile
          label="Spent"
          value={money(sum(trends.costUsd))}
          note={`${money(sum(trends.savedUsd))} saved`}
          tone="cloud"
        />
      </dl>
      <div class="charts">
        <Chart
          title="Requests"
          unit={`in each ${step}`}
          timesMs={timesMs}
          series={charts.requests}
          shape="bars"
          format={count}
          empty="No requests."
        />
        <Chart
          title="Local share"
          unit="share of the answers"
          timesMs={timesMs}
          series={charts.share}
          shape="lines"
          max={1}
          format={percent}
          empty="No answer came from the local tier."
        />
        <Chart
          title="Latency"
          unit="whole request, within 5 %"
          timesMs={timesMs}
          series={charts.latency}
          shape="lines"
          format={duration}
          empty="No answers."
        />
        <Chart
          title="Time to first token"
          unit="within 5 %"
          timesMs={timesMs}
          series={charts.firstToken}
          shape="lines"
          format={duration}
          empty="No answers."
        />
        <Chart
          title="Tokens"
          unit={`tokens in each ${step}`}
          timesMs={timesMs}
          series={charts.tokens}
          shape="bars"
          format={count}
          empty="No backend has counted tokens."
        />
        <Chart
          title="Money"
          unit={`US dollars in each ${step}, estimated`}
          timesMs={timesMs}
          series={charts.money}
          shape="bars"
          format={money}
          empty="Nothing was spent: no cloud answer with a known price in this time."
        />
      </div>
      <p class="hint">Times are those of {timeZone()}.</p>
    </>
  );
}

function seriesOf(trends: Trends) {
  const share = trends.local.map((local, index) => {
    const answers = local + (trends.cloud[index] ?? 0);
    return answers === 0 ? null : local / answers;
  });
  const tiers = ({ local, cloud }: Trends['latency']) => [
    { label: 'Local p50', colour: 'local', values: local.p50, all: local.all.p50 },
    { label: 'Local p95', colour: 'local', values: local.p95, all: local.all.p95, dashed: true },
    { label: 'Cloud p50', colour: 'cloud', values: cloud.p50, all: cloud.all.p50 },
    { label: 'Cloud p95', colour: 'cloud', values: cloud.p95, all: cloud.all.p95, dashed: true },
  ];
  const summed = (label: string, colour: string, values: readonly number[]) => ({
    label,
    colour,
    values,
    all: sum(values),
  });
  const answers = sum(trends.local) + sum(trends.cloud);
  return {
    requests: [
      summed('Local', 'local', trends.local),
      summed('Cloud', 'cloud', trends.cloud),
      summed('Failed', 'failed', trends.failed),
    ],
    share: [
      { label: 'Local', colour: 'local', values: share, all: answers === 0 ? null : sum(trends.local) / answers },
    ],
    latency: tiers(trends.latency),
    firstToken: tiers(trends.firstToken),
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
