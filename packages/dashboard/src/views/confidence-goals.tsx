import { useEffect, useState } from 'preact/hooks';
import type { GoalView, ThresholdView } from '@lfo/router/src/core/goals.ts';
import { change } from '../api/client.ts';
import { useResource } from '../api/resource.ts';
import { money, percent, score } from '../format.ts';
import { WideTable } from '../parts/wide-table.tsx';

interface Setting {
  readonly setting: string;
  readonly value: number | null;
  readonly origin: 'environment' | 'override' | 'file' | 'default';
  readonly fixedBy: string | null;
}

interface SettingsBody {
  readonly threshold: ThresholdView;
  readonly settings: readonly Setting[];
}

const names: Readonly<Record<string, string>> = {
  'routing.confidence_threshold': 'Threshold',
  'routing.goal.cloud_share': 'Share of the cloud',
  'routing.goal.spend_per_day': 'Dollars a day',
  'routing.goal.spend_hard_limit': 'Dollars a day, at most',
  'routing.goal.quality': 'Quality, of the cloud’s',
  'routing.goal.risk': 'Worse answers, at most',
};

/** What steers the threshold, how each goal stands, and changing it here: laid over the file, undone by taking it back. */
export function Goals() {
  const { value, reload } = useResource<SettingsBody>('/admin/settings', 10_000);
  if (value === undefined) return null;
  const { threshold, settings } = value;
  return (
    <section class="card">
      <h2>
        Threshold {score(threshold.threshold)} <span class="unit">{whyOf(threshold)}</span>
      </h2>
      <WideTable
        label="Goals and the threshold"
        columns={[['Setting'], ['Value'], ['From'], ['Stands'], [<span class="unseen">Change</span>]]}
      >
        {settings.map((setting) => (
          <Row
            key={setting.setting}
            setting={setting}
            goal={threshold.goals.find(({ goal }) => setting.setting === `routing.goal.${goal}`)}
            changed={reload}
          />
        ))}
      </WideTable>
      <p class="hint">
        The environment goes before what is set here, and that before the file. Taking it back leaves what the file
        says.
      </p>
    </section>
  );
}

function Row({ setting, goal, changed }: { setting: Setting; goal: GoalView | undefined; changed: () => void }) {
  const { setting: name, value, origin, fixedBy } = setting;
  const [text, setText] = useState<string | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const [isSent, setSent] = useState(false);
  // What was applied stays in the field until the router's own word of it is here.
  useEffect(() => {
    if (isSent) setText(undefined);
    setSent(false);
  }, [setting]);
  const run = async (work: () => Promise<Response>): Promise<void> => {
    try {
      await work();
      setSent(true);
      setError(undefined);
      changed();
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : 'That did not work.');
    }
  };
  const label = names[name] ?? name;
  const save = async (): Promise<void> => {
    const typed = text?.trim() ?? '';
    const wanted = typed === '' ? null : Number(typed);
    // JSON knows no NaN: it would go as `null`, which takes a goal away.
    if (Number.isNaN(wanted)) return setError(`“${typed}” is not a number: write it like 0.7.`);
    await run(() => change('PATCH', `/admin/settings/${name}`, { value: wanted }));
  };
  return (
    <tr>
      <th scope="row">
        {label}
        <br />
        <code class="unit">{name}</code>
      </th>
      <td class="number">
        {fixedBy === null ? (
          <input
            aria-label={label}
            class="number"
            size={6}
            inputMode="decimal"
            value={text ?? (value === null ? '' : String(value))}
            placeholder="none"
            onInput={({ currentTarget }) => {
              setText(currentTarget.value);
              setSent(false);
            }}
          />
        ) : (
          String(value ?? 'none')
        )}
      </td>
      <td>{fixedBy ?? origin}</td>
      <td>{goal === undefined ? '' : standsOf(goal)}</td>
      <td>
        {text !== undefined && !isSent && (
          <button type="button" onClick={() => void save()}>
            Apply
          </button>
        )}
        {text === undefined && origin === 'override' && (
          <button type="button" onClick={() => void run(() => change('DELETE', `/admin/settings/${name}`))}>
            Undo
          </button>
        )}
        {error !== undefined && (
          <span class="error" role="alert">
            {error}
          </span>
        )}
      </td>
    </tr>
  );
}

function whyOf({ from, binding }: ThresholdView): string {
  if (from === 'goal') return `from the goal ${binding ?? ''}`;
  if (from === 'override') return 'set here';
  return from === 'default' ? 'the default' : `from the ${from}`;
}

const states: Readonly<Record<GoalView['state'], string>> = {
  binds: 'binds',
  held: 'another goal is stricter',
  too_few_labels: 'too few labels',
  unreachable: 'out of reach',
  learning: 'waits for prices and traffic',
};

function standsOf({ goal, state, estimate, interval, labels, needs }: GoalView): string {
  const show = (value: number): string => (goal.startsWith('spend') ? money(value) : percent(value));
  const now = estimate === null ? '' : `, now ${show(estimate)}`;
  const range = interval === null ? '' : ` (${interval.map(show).join(' to ')})`;
  const counted = needs > 0 ? `, ${labels} of ${needs} labels` : '';
  return `${states[state]}${now}${range}${state === 'too_few_labels' || interval !== null ? counted : ''}`;
}
