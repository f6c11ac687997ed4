import { useState } from 'preact/hooks';
import type { KeyBody, KeysBody } from '@lfo/router/src/admin/wire.ts';
import type { GroupedSummary, SummaryGroup } from '@lfo/router/src/records/history.ts';
import { change, post } from '../api/client.ts';
import { useResource } from '../api/resource.ts';
import { count, dayAndTime, money } from '../format.ts';
import { Command } from '../parts/command.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Fact } from '../parts/fact.tsx';

const limitNames = [
  ['requestsPerMinute', 'Requests a minute'],
  ['requestsPerDay', 'Requests a day'],
  ['tokensPerMinute', 'Tokens a minute'],
  ['tokensPerDay', 'Tokens a day'],
  ['usdPerMinute', 'Dollars a minute'],
  ['usdPerDay', 'Dollars a day'],
  ['concurrency', 'At once'],
] as const;

type LimitName = (typeof limitNames)[number][0];

/** Who may come in, what each may use, and what each has used. */
export function KeysView() {
  const { value, error, reload } = useResource<KeysBody>('/dashboard/api/keys', 15_000);
  const usage = useResource<GroupedSummary>('/dashboard/api/usage?by=key&range=30d', 60_000);
  const [made, setMade] = useState<{ text: string; name: string } | undefined>(undefined);
  const used = new Map(usage.value?.groups.map((group) => [group.key, group]));
  return (
    <>
      <ViewHead title="Keys" />
      {made !== undefined && <Made {...made} />}
      <NewKey
        onMade={(key) => {
          setMade(key);
          reload();
        }}
      />
      {value !== undefined && value.keys.length === 0 && (
        <Empty title="There are no keys yet.">
          <p>
            {value.ownerHasKey
              ? 'Only the key of the configuration opens LFO.'
              : 'Everybody on this machine may use LFO without a key until you create the first one.'}
          </p>
        </Empty>
      )}
      {value !== undefined && value.keys.length > 0 && (
        <ul class="cards">
          {value.keys.map((key) => (
            <KeyCard key={key.id} of={key} usage={used.get(key.id)} onChange={reload} />
          ))}
        </ul>
      )}
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

function Made({ text, name }: { text: string; name: string }) {
  return (
    <section class="notice" role="status">
      <p>
        The key of <strong>{name}</strong>. Keep it: it is shown only now.
      </p>
      <Command text={text} />
    </section>
  );
}

function NewKey({ onMade }: { onMade: (key: { text: string; name: string }) => void }) {
  const [name, setName] = useState('');
  const [scope, setScope] = useState('chat');
  const [mode, setMode] = useState('auto');
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | undefined>(undefined);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    try {
      const scopes = scope === 'both' ? ['chat', 'admin'] : [scope];
      const response = await post('/dashboard/api/keys', { name, scopes, mode });
      const { text }: { text: string } = await response.json();
      setName('');
      setError(undefined);
      onMade({ text, name });
    } catch (thrown) {
      setError(messageOf(thrown));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="card inline-form" onSubmit={(event) => void submit(event)}>
      <h2>New key</h2>
      <div class="fields">
        <div class="choice">
          <label for="key-name">Name</label>
          <input
            id="key-name"
            value={name}
            required
            maxLength={100}
            placeholder="laptop, ci, alice …"
            onInput={({ currentTarget }) => setName(currentTarget.value)}
          />
        </div>
        <div class="choice">
          <label for="key-scope">Opens</label>
          <select id="key-scope" value={scope} onChange={({ currentTarget }) => setScope(currentTarget.value)}>
            <option value="chat">the API</option>
            <option value="admin">the dashboard</option>
            <option value="both">both</option>
          </select>
        </div>
        <div class="choice">
          <label for="key-mode">May run</label>
          <select id="key-mode" value={mode} onChange={({ currentTarget }) => setMode(currentTarget.value)}>
            <option value="auto">anywhere</option>
            <option value="local">local only</option>
            <option value="cloud">cloud only</option>
          </select>
        </div>
        <button type="submit" class="primary" disabled={isBusy || name.trim() === ''}>
          Create
        </button>
      </div>
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </form>
  );
}

function KeyCard({ of: key, usage, onChange }: { of: KeyBody; usage: SummaryGroup | undefined; onChange: () => void }) {
  const [isEditing, setEditing] = useState(false);
  const [error, setError] = useState<string | undefined>(undefined);
  const revoke = async (): Promise<void> => {
    if (!confirm(`Revoke the key of ${key.name}? Whoever uses it is refused within a second.`)) return;
    try {
      await post(`/dashboard/api/keys/${key.id}/revoke`, {});
      onChange();
    } catch (thrown) {
      setError(messageOf(thrown));
    }
  };
  return (
    <li class={`card key ${key.state}`}>
      <div class="card-head">
        <h2>{key.name}</h2>
        {key.state === 'active' ? (
          <span class="dim">
            {key.scopes.join(', ')}
            {key.mode !== 'auto' && ` · ${key.mode} only`}
          </span>
        ) : (
          <span class="badge warn">{key.state}</span>
        )}
      </div>
      <dl class="readings">
        <Fact name="Last used" value={key.lastUsedMs === null ? 'never' : dayAndTime(key.lastUsedMs)} />
        <Fact name="Requests, 30 days" value={count(usage?.requests ?? 0)} />
        <Fact name="Refused or failed" value={count((usage?.refused ?? 0) + (usage?.failed ?? 0))} />
        <Fact name="Tokens, 30 days" value={count((usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0))} />
        <Fact name="Spent, 30 days" value={money(usage?.costUsd ?? 0)} />
        {key.expiresMs !== null && <Fact name="Expires" value={dayAndTime(key.expiresMs)} />}
      </dl>
      <Limits of={key} />
      {isEditing && (
        <EditLimits
          of={key}
          onDone={() => {
            setEditing(false);
            onChange();
          }}
        />
      )}
      <p class="actions">
        <Link to={`/requests?key=${encodeURIComponent(key.id)}`}>Requests</Link>
        {key.state !== 'revoked' && (
          <>
            <button type="button" aria-expanded={isEditing} onClick={() => setEditing(!isEditing)}>
              Limits
            </button>
            <button type="button" onClick={() => void revoke()}>
              Revoke
            </button>
          </>
        )}
        {error !== undefined && (
          <span class="error" role="alert">
            {error}
          </span>
        )}
      </p>
    </li>
  );
}

/** How much of each limit is used up. */
function Limits({ of: { limits, used } }: { of: KeyBody }) {
  const shown = limitNames.flatMap(([name, text]) => {
    const limit = limits[name];
    if (limit === undefined || name === 'concurrency') return [];
    return [{ name, text, limit, use: used[name] }];
  });
  if (shown.length === 0) return null;
  return (
    <ul class="meters">
      {shown.map(({ name, text, limit, use }) => (
        <li key={name}>
          <span class="dim">{text}</span>
          <meter value={Math.min(use, limit)} max={limit} high={limit * 0.9} aria-label={text} />
          <span class="number">
            {name.startsWith('usd') ? `${money(use)} of ${money(limit)}` : `${count(use)} of ${count(limit)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

function EditLimits({ of: key, onDone }: { of: KeyBody; onDone: () => void }) {
  const [values, setValues] = useState<Readonly<Partial<Record<LimitName, string>>>>(
    Object.fromEntries(limitNames.map(([name]) => [name, key.limits[name]?.toString() ?? ''])),
  );
  const [error, setError] = useState<string | undefined>(undefined);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const limits = Object.fromEntries(
      limitNames.map(([name]) => [name, (values[name] ?? '') === '' ? null : Number(values[name])]),
    );
    try {
      await change('PATCH', `/dashboard/api/keys/${key.id}`, { limits });
      onDone();
    } catch (thrown) {
      setError(messageOf(thrown));
    }
  };
  return (
    <form class="fields" onSubmit={(event) => void save(event)}>
      {limitNames.map(([name, text]) => (
        <div key={name} class="choice">
          <label for={`${key.id}-${name}`}>{text}</label>
          <input
            id={`${key.id}-${name}`}
            type="number"
            min="0"
            step={name.startsWith('usd') ? '0.01' : '1'}
            placeholder="none"
            value={values[name] ?? ''}
            onInput={({ currentTarget }) => setValues({ ...values, [name]: currentTarget.value })}
          />
        </div>
      ))}
      <button type="submit" class="primary">
        Save
      </button>
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </form>
  );
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'That did not work.';
}
