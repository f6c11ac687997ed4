import type { ThresholdView } from '@lfo/router/src/core/goals.ts';
import type { LearningGroup, LearningReport } from '@lfo/router/src/records/history.ts';
import { useResource } from '../api/resource.ts';
import { CascadeCurve } from '../charts/cascade-curve.tsx';
import { Reliability } from '../charts/reliability.tsx';
import { count, percent, plural } from '../format.ts';
import { chosenRange } from '../parts/range-tabs.tsx';
import { Fact } from '../parts/fact.tsx';
import { WideTable } from '../parts/wide-table.tsx';

/** What labels say of local answers, wherever they come from. */
export function Learned() {
  const { value } = useResource<LearningReport>(`/dashboard/api/learning?range=${chosenRange()}`, 30_000);
  const { value: settings } = useResource<{ readonly threshold: ThresholdView }>('/admin/settings', 30_000);
  if (value === undefined || value.judged === 0) return null;
  return (
    <>
      {value.shadow !== null && <Shadow shadow={value.shadow} />}
      {value.labelled > 0 && (
        <div class="two">
          <section class="card">
            <h2>
              Is 0.8 right 80 % of the time? <span class="unit">{plural(value.labelled, 'label')}</span>
            </h2>
            <Reliability bins={value.reliability} />
            <p class="hint">Labels: {sourcesOf(value)}.</p>
          </section>
          <section class="card">
            <h2>Quality against the cloud’s share</h2>
            {value.cascade.length === 0 ? (
              <p class="hint">The curve needs 20 labels.</p>
            ) : (
              <CascadeCurve points={value.cascade} threshold={settings?.threshold.threshold ?? 0.7} />
            )}
            <dl class="facts">
              <Fact name="Right of what stayed" value={shareOf(value.rightOfKept)} />
              <Fact name="Right of what was escalated" value={shareOf(value.rightOfEscalated)} />
            </dl>
          </section>
        </div>
      )}
      <Groups title="By model" groups={value.models} />
      {value.keys.length > 1 && <Groups title="By key" groups={value.keys} />}
    </>
  );
}

function Shadow({ shadow: { answers, couldStay, harm, labelled } }: { shadow: NonNullable<LearningReport['shadow']> }) {
  return (
    <p class="lead">
      {percent(couldStay)} of {plural(answers, 'answer')} of the cloud could have stayed local
      {harm === null ? '; nothing is known yet of how many were wrong.' : `, estimated harm ${percent(harm)}`}
      {harm !== null && ` (${plural(labelled, 'comparison')}).`}
    </p>
  );
}

function Groups({ title, groups }: { title: string; groups: readonly LearningGroup[] }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      <WideTable
        label={title}
        columns={[['Name'], ['Judged', 'end'], ['Stay', 'end'], ['Right', 'end'], ['Calibration']]}
      >
        {groups.map(({ name, answers, kept, labelled, right, calibration, isPrior }) => (
          <tr key={name}>
            <th scope="row">{name === '' ? 'no key' : name}</th>
            <td class="number end">{count(answers)}</td>
            <td class="number end">{percent(kept / answers)}</td>
            <td class="number end">{right === null ? 'no labels' : `${percent(right)} of ${count(labelled)}`}</td>
            <td>
              {calibration ?? 'none'}
              {isPrior && ' (a prior, fitted on another model)'}
            </td>
          </tr>
        ))}
      </WideTable>
    </section>
  );
}

function shareOf(value: number | null): string {
  return value === null ? 'no labels' : percent(value);
}

function sourcesOf({ bySource }: LearningReport): string {
  return Object.entries(bySource)
    .map(([source, times]) => `${source.replace('_', ' ')} ${count(times)}`)
    .join(', ');
}
