import { useState } from 'preact/hooks';
import type { FleetMember } from '@lfo/router/src/admin/wire.ts';
import type { GroupedSummary, SummaryGroup } from '@lfo/router/src/records/history.ts';
import type { AttemptView } from '@lfo/router/src/records/request-view.ts';
import { post } from '../api/client.ts';
import { requests, status } from '../api/live.ts';
import { useResource } from '../api/resource.ts';
import { count, duration, money, percent, plural, rate, timeOfDay } from '../format.ts';
import { TierBadge } from '../parts/badges.tsx';
import { Command } from '../parts/command.tsx';
import { words } from '../parts/evidence.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Loading, ViewHead } from '../parts/states.tsx';
import { Devices } from './devices.tsx';
import { Fact } from '../parts/fact.tsx';

const exampleBackend = `backends:
  - name: ollama
    kind: openai-compatible
    tier: local
    base_url: http://127.0.0.1:11434/v1`;

/** `dev-` and a fingerprint; names in `lfo.yaml` may begin so too. */
const deviceId = /^dev-[0-9a-hjkmnp-tv-z]{16}$/;

/** Everything that can answer, and how it is. Moves by itself. */
export function FleetView() {
  const now = status.value;
  const usage = useResource<GroupedSummary>('/dashboard/api/usage?range=24h&by=backend', 30_000).value;
  const servers = now?.backends.filter(({ id }) => !deviceId.test(id));
  return (
    <>
      <ViewHead title="Fleet" />
      {now === undefined && <Loading />}
      {now?.backends.length === 0 && <NoBackends />}
      {servers !== undefined && servers.length > 0 && (
        <>
          <ul class="fleet">
            {servers.map((backend) => (
              <Backend key={backend.id} backend={backend} day={usage?.groups.find(({ key }) => key === backend.id)} />
            ))}
          </ul>
          <details class="card add">
            <summary>Add a backend</summary>
            <p>
              Put a local model server into <code>lfo.yaml</code>, or set <code>GEMINI_API_KEY</code> for the cloud:
            </p>
            <Command text={exampleBackend} />
          </details>
        </>
      )}
      <Devices />
    </>
  );
}

/** `day`: what it did in the last 24 hours, where that is on record. */
function Backend({ backend, day }: { backend: FleetMember; day: SummaryGroup | undefined }) {
  const { id, tier, models, detail, progress } = backend;
  const [tone, state] = stateOf(backend);
  return (
    <li class="card backend">
      <div class="card-head">
        <h2>{id}</h2>
        <TierBadge tier={tier} />
        <span class="state">
          <span class={`dot ${tone}`} aria-hidden="true" />
          {state}
        </span>
      </div>
      <p class="models">{models.length === 0 ? 'models not known yet' : modelsOf(models)}</p>
      {progress !== null && (
        <div class="loading-line">
          <progress value={progress} max="1" aria-label="Loading" /> <span class="number">{percent(progress)}</span>
        </div>
      )}
      {detail !== null && <p class={`detail ${backend.state === 'down' ? 'error' : ''}`}>{detail}</p>}
      <dl class="readings">
        {[...factsOf(backend), ...dayOf(day)].map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
      </dl>
      <LastFailure id={backend.id} />
      <DrainButton backend={backend} />
    </li>
  );
}

function DrainButton({ backend: { id, isDraining } }: { backend: FleetMember }) {
  const [error, setError] = useState<string | undefined>(undefined);
  const act = async (): Promise<void> => {
    try {
      await post(`/dashboard/api/fleet/${encodeURIComponent(id)}/${isDraining ? 'resume' : 'drain'}`, {});
      setError(undefined);
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : 'That did not work.');
    }
  };
  return (
    <p class="actions">
      <Link to={`/requests?backend=${encodeURIComponent(id)}`}>Requests</Link>
      <button
        type="button"
        title={isDraining ? undefined : 'Running requests end, new ones go elsewhere'}
        onClick={() => void act()}
      >
        {isDraining ? 'Resume' : 'Drain'}
      </button>
      {isDraining && <span class="hint">New requests go elsewhere.</span>}
      {error !== undefined && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </p>
  );
}

function dayOf(day: SummaryGroup | undefined): readonly (readonly [name: string, value: string])[] {
  if (day === undefined) return [];
  return [
    ['Requests, 24 hours', count(day.requests)],
    ['Failed, 24 hours', count(day.failed)],
    ['p95, 24 hours', duration(day.latencyMs.all.p95)],
    ...(day.costUsd > 0 ? [['Spent, 24 hours', money(day.costUsd)] as const] : []),
  ];
}

/** Of the requests that the page knows, the latest two hundred. */
function LastFailure({ id }: { id: string }) {
  const isItsFailure = ({ backend, outcome }: AttemptView): boolean => backend === id && outcome === 'failed';
  const failed = requests.value.find(({ attempts }) => attempts.some(isItsFailure));
  const attempt = failed?.attempts.findLast(isItsFailure);
  if (failed === undefined || attempt === undefined) return null;
  return (
    <p class="last-error">
      Last failure:{' '}
      <Link to={`/requests/${failed.id}`}>
        {timeOfDay(failed.timeMs)}, {words(attempt.errorCode ?? 'failed')}
        {attempt.errorStatus === null ? '' : ` (${attempt.errorStatus})`}
      </Link>
    </p>
  );
}

/** What is not known is left out. */
function factsOf(backend: FleetMember): readonly (readonly [name: string, value: string])[] {
  const { active, slots, queued, prefillRate, decodeRate, contextTokens, abilities } = backend;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Requests here now', count(backend.inFlight)],
    ['Slots in use', active === null || slots === null ? undefined : `${count(active)} of ${count(slots)}`],
    ['Queued there', queued === null ? undefined : count(queued)],
    ['Reads', prefillRate === null ? undefined : rate(prefillRate)],
    ['Writes', decodeRate === null ? undefined : rate(decodeRate)],
    ['Context', contextTokens === null ? undefined : `${count(contextTokens)} tokens`],
    ['Breaker', breakerOf(backend)],
    ['Supports', ['text', ...abilities].join(', ')],
  ];
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}

function NoBackends() {
  return (
    <Empty title="Nothing here can answer.">
      <p>
        Start without <code>LFO_LOCAL_MODEL=none</code> for the embedded model, set <code>GEMINI_API_KEY</code> for the
        cloud, or name a model server in <code>lfo.yaml</code>:
      </p>
      <Command text={exampleBackend} />
    </Empty>
  );
}

function stateOf({ state, breaker, isDraining }: FleetMember): readonly ['good' | 'warn' | 'bad', string] {
  if (isDraining) return ['warn', 'draining'];
  if (state === 'down') return ['bad', 'down'];
  if (state === 'loading') return ['warn', 'loading'];
  return breaker === 'closed' ? ['good', 'ready'] : ['warn', 'recovering'];
}

function breakerOf({ breaker }: FleetMember): string {
  if (breaker === 'closed') return 'healthy';
  return breaker === 'open' ? 'open, after failures' : 'half-open, one request tries';
}

function modelsOf(models: readonly string[]): string {
  const shown = models.slice(0, 4).join(', ');
  return models.length > 4 ? `${shown} and ${plural(models.length - 4, 'more model')}` : shown;
}
