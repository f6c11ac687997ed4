import { useState } from 'preact/hooks';
import type { SettingsBody } from '@lfo/router/src/admin/wire.ts';
import { useResource } from '../api/resource.ts';
import { count, score } from '../format.ts';
import { Link } from '../parts/link.tsx';
import { Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Fact } from '../parts/fact.tsx';
import { WideTable } from '../parts/wide-table.tsx';

/** What is in force: version, router, every setting with its origin, routing rules and calibration. */
export function SettingsView() {
  const { value, error, reload } = useResource<SettingsBody>('/dashboard/api/settings', 30_000);
  return (
    <>
      <ViewHead title="Settings" />
      {value !== undefined && <InForce body={value} />}
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

function InForce({ body }: { body: SettingsBody }) {
  return (
    <>
      <div class="two">
        <section class="card">
          <h2>This router</h2>
          <dl class="readings">
            <Fact name="Name" value={body.router} />
            <Fact name="Version" value={body.version} />
            <Fact name="Node" value={body.node} />
            <Fact name="Saved is counted against" value={body.savedAgainst ?? 'no cloud model'} />
          </dl>
        </section>
        <section class="card">
          <h2>Routing</h2>
          <dl class="readings">
            <Fact
              name="Confidence threshold"
              value={`${score(body.threshold.value)} (${originText(body.threshold.origin)})`}
            />
            {body.calibrations.map(({ id, model, fittedOn }) => (
              <Fact key={id} name={`Calibration for ${model}`} value={`${id}, ${count(fittedOn)} answers`} />
            ))}
          </dl>
          <h3>Policies, in their order</h3>
          <ol class="policies">
            {body.policies.map((name) => (
              <li key={name}>{name.replaceAll('-', ' ')}</li>
            ))}
          </ol>
          <p class="hint">
            The threshold is changed in <Link to="/confidence">Confidence</Link>.
          </p>
        </section>
      </div>
      <Configuration body={body} />
    </>
  );
}

function Configuration({ body: { settings, origins } }: { body: SettingsBody }) {
  const [sought, setSought] = useState('');
  const [onlyChanged, setOnlyChanged] = useState(false);
  const rows = leavesOf(settings, '').filter(
    ([path]) => path.includes(sought.toLowerCase()) && (!onlyChanged || origins[path] !== undefined),
  );
  return (
    <section class="card flush">
      <div class="card-head">
        <h2>Configuration</h2>
        <label class="check">
          <input
            type="checkbox"
            checked={onlyChanged}
            onChange={({ currentTarget }) => setOnlyChanged(currentTarget.checked)}
          />
          <span>without defaults</span>
        </label>
        <input
          type="search"
          aria-label="Find a setting"
          placeholder="Find a setting"
          value={sought}
          onInput={({ currentTarget }) => setSought(currentTarget.value)}
        />
      </div>
      <WideTable label="Settings in force" columns={[['Setting'], ['Value'], ['From']]}>
        {rows.map(([path, value]) => (
          <tr key={path} class={origins[path] === undefined ? 'dim' : ''}>
            <th scope="row">
              <code>{path}</code>
            </th>
            <td>{typeof value === 'string' ? value : JSON.stringify(value)}</td>
            <td>{originText(origins[path] ?? 'default')}</td>
          </tr>
        ))}
      </WideTable>
      <p class="hint">
        <code>lfo config show</code> prints what the environment and <code>lfo.yaml</code> say as a file that can be
        read again. Secrets are never shown: a variable stands for each.
      </p>
    </section>
  );
}

function originText(origin: string): string {
  return origin === 'override' ? 'changed in the dashboard' : origin;
}

function leavesOf(value: unknown, path: string): readonly (readonly [path: string, value: unknown])[] {
  const isGroup = typeof value === 'object' && value !== null && (!Array.isArray(value) || value.some(isGroupItem));
  if (!isGroup || path === 'prices' || Object.keys(value).length === 0) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === '' ? key : `${path}.${key}`));
}

function isGroupItem(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
