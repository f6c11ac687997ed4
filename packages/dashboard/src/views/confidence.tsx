import { useState } from 'preact/hooks';
import type { ConfidenceReport, ReplayPoint } from '@lfo/router/src/records/history.ts';
import type { SettingsBody } from '@lfo/router/src/admin/wire.ts';
import { change } from '../api/client.ts';
import { type Resource, useResource } from '../api/resource.ts';
import { Histogram } from '../charts/histogram.tsx';
import { ReplayCurve } from '../charts/replay-curve.tsx';
import { Reliability } from '../charts/reliability.tsx';
import { count, money, percent, plural, score } from '../format.ts';
import { Command } from '../parts/command.tsx';
import { Link } from '../parts/link.tsx';
import { chosenRange, RangeTabs } from '../parts/range-tabs.tsx';
import { Goals } from './confidence-goals.tsx';
import { Learned } from './confidence-learned.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Fact } from '../parts/fact.tsx';

/** How sure the local model is, whether that means anything, and what another threshold would have done. */
export function ConfidenceView() {
  const { value, error, reload } = useResource<ConfidenceReport>(
    `/dashboard/api/confidence?range=${chosenRange()}`,
    30_000,
  );
  const settings = useResource<SettingsBody>('/dashboard/api/settings', 30_000);
  return (
    <>
      <ViewHead title="Confidence">
        <RangeTabs />
      </ViewHead>
      {value !== undefined && <Report report={value} settings={settings} />}
      <Goals />
      <Learned />
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

function Report({ report, settings }: { report: ConfidenceReport; settings: Resource<SettingsBody> }) {
  const scored = Object.values(report.histogram).reduce((sum, bins) => sum + bins.reduce((a, b) => a + b, 0), 0);
  if (scored === 0) {
    return (
      <Empty title="No local answer was scored in this time.">
        <p>
          Scores come from local answers in the mode <code>auto</code>. Choose a longer range, or send one from the{' '}
          <Link to="/playground">playground</Link>.
        </p>
        {report.withoutScore > 0 && (
          <p>{plural(report.withoutScore, 'answer')} came without a score: the backend gives no log-probabilities.</p>
        )}
      </Empty>
    );
  }
  return (
    <>
      <p class="lead">
        From the latest {plural(report.sampled, 'request')}
        {report.isCapped ? ' of this time; older ones are left out' : ' of this time'}. {plural(scored, 'local answer')}{' '}
        had a score{report.withoutScore > 0 && `, ${count(report.withoutScore)} had none`}.
      </p>
      <section class="card">
        <h2>
          Scores of local answers <span class="unit">answers per step of 0.05</span>
        </h2>
        <Histogram histogram={report.histogram} threshold={report.threshold} />
      </section>
      <div class="two">
        <Replay report={report} settings={settings} />
        <section class="card">
          <h2>Calibration: is 0.8 right 80 % of the time?</h2>
          {report.reliability.length === 0 ? <NoLabels /> : <Labels report={report} />}
        </section>
      </div>
    </>
  );
}

function Labels({ report: { reliability, labelled } }: { report: ConfidenceReport }) {
  return (
    <>
      <Reliability bins={reliability} />
      <p class="hint">
        From {plural(labelled, 'verdict')}. A score that means what it says lies on the diagonal; above it the model is
        better than it says.
      </p>
    </>
  );
}

function NoLabels() {
  return (
    <div class="hint">
      <p>
        Nobody has judged an answer yet. Open a request and say whether its answer was good, or let a program do so:
      </p>
      <Command
        text={`curl ${location.origin}/v1/feedback \\\n  -H 'content-type: application/json' \\\n  -d '{"request_id":"…","verdict":"good"}'`}
      />
    </div>
  );
}

function Replay({ report, settings }: { report: ConfidenceReport; settings: Resource<SettingsBody> }) {
  const { replay, cloudAnswerUsd } = report;
  const threshold = settings.value?.threshold.value ?? report.threshold;
  const actual = nearest(replay, threshold ?? 0.7);
  const [chosen, setChosen] = useState(actual);
  const [now, then] = [replay[actual], replay[chosen]];
  if (now === undefined || then === undefined) return null;
  const moved = now.kept - then.kept;
  const all = then.kept + then.escalated;
  return (
    <section class="card">
      <h2>What if the threshold were {score(then.threshold)}?</h2>
      <ReplayCurve points={replay} actual={threshold ?? now.threshold} chosen={then.threshold} />
      <label class="slider">
        <span class="unseen">Threshold</span>
        <input
          type="range"
          min="0"
          max={replay.length - 1}
          step="1"
          value={chosen}
          aria-valuetext={score(then.threshold)}
          onInput={({ currentTarget }) => setChosen(Number(currentTarget.value))}
        />
      </label>
      <dl class="facts" aria-live="polite">
        <Fact name="Stay local" value={`${count(then.kept)} (${percent(then.kept / all)})`} />
        <Fact name="Go to the cloud" value={`${count(then.escalated)} (${percent(then.escalated / all)})`} />
        <Fact name="Change" value={changeOf(moved)} />
        <Fact name="Money" value={cloudAnswerUsd === null ? 'no cloud prices known' : signed(moved * cloudAnswerUsd)} />
        <Fact name="Judged good of those kept" value={goodOf(then)} />
      </dl>
      <p class="hint">
        Replayed on stored scores of the mode <code>auto</code>.
        {cloudAnswerUsd !== null && ` Money at ${money(cloudAnswerUsd)}, the mean price of a cloud answer here.`}
      </p>
      {settings.value !== undefined && (
        <Apply chosen={then.threshold} settings={settings.value} onDone={settings.reload} />
      )}
    </section>
  );
}

const thresholdSetting = '/admin/settings/routing.confidence_threshold';

/** Puts the chosen threshold in force, or takes that back. */
function Apply({ chosen, settings, onDone }: { chosen: number; settings: SettingsBody; onDone: () => void }) {
  const { value, origin, isFixed } = settings.threshold;
  const [error, setError] = useState<string | undefined>(undefined);
  const put = async (next: number | null): Promise<void> => {
    try {
      if (next === null) await change('DELETE', thresholdSetting);
      else await change('PATCH', thresholdSetting, { value: next });
      setError(undefined);
      onDone();
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : 'That did not work.');
    }
  };
  return (
    <>
      <p class="actions">
        <span class="hint">
          In force: {score(value)} ({origin === 'override' ? 'set here' : origin})
        </span>
        {!isFixed && chosen !== value && (
          <button type="button" class="primary" onClick={() => void put(chosen)}>
            Apply {score(chosen)}
          </button>
        )}
        {origin === 'override' && (
          <button type="button" onClick={() => void put(null)}>
            Undo
          </button>
        )}
      </p>
      {isFixed && (
        <p class="hint">
          <code>LFO_CONFIDENCE_THRESHOLD</code> fixes it: change it there.
        </p>
      )}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

function nearest(replay: readonly ReplayPoint[], threshold: number): number {
  const distances = replay.map((point) => Math.abs(point.threshold - threshold));
  return distances.indexOf(Math.min(...distances));
}

function changeOf(moved: number): string {
  if (moved === 0) return 'none';
  return moved > 0 ? plural(moved, 'more escalation') : plural(-moved, 'fewer escalation');
}

function signed(usd: number): string {
  return usd === 0 ? money(0) : `${money(Math.abs(usd))} ${usd > 0 ? 'more' : 'less'} spent`;
}

function goodOf({ keptGood, keptBad }: ReplayPoint): string {
  const judged = keptGood + keptBad;
  return judged === 0 ? 'no verdicts yet' : `${percent(keptGood / judged)} of ${count(judged)}`;
}
