import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { reasons } from '@lfo/router/src/core/reason.ts';
import { keyNames } from '../api/keys.ts';
import { status } from '../api/live.ts';
import { type Pages, usePages } from '../api/pages.ts';
import { dayAndTime, dayName, plural } from '../format.ts';
import { go, place } from '../navigation.ts';
import { picked, togglePicked } from '../parts/compare-pick.ts';
import { LatencyLegend, latencyScale } from '../parts/latency-bar.tsx';
import { Link } from '../parts/link.tsx';
import { RequestRows, RowHead } from '../parts/request-rows.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { scoreOf } from '../phases.ts';

const filterNames = [
  'route',
  'outcome',
  'backend',
  'model',
  'key',
  'device',
  'mode',
  'dialect',
  'tools',
  'reason',
  'error',
  'status',
  'minMs',
  'minCostUsd',
  'fromMs',
  'untilMs',
] as const;
type FilterName = (typeof filterNames)[number];

/** Everything on record, the newest first, narrowed by what the address says. */
export function RequestsView() {
  const query = chosenQuery();
  const { pages, more, reload } = usePages(query);
  const isFirst = pages.next === undefined;
  return (
    <>
      <ViewHead title="Requests">
        <SearchById />
        <Link to="/errors">Errors by cause</Link>
        <button type="button" class="quiet" onClick={reload}>
          Reload
        </button>
      </ViewHead>
      <Filters pages={pages} />
      {isFirst && pages.error === undefined && <Loading />}
      {!isFirst && pages.requests.length > 0 && <Days requests={pages.requests} />}
      {pages.error === undefined ? (
        !isFirst && <Foot pages={pages} more={more} />
      ) : (
        <Failure error={pages.error} retry={isFirst ? reload : more} />
      )}
    </>
  );
}

function Days({ requests }: { requests: readonly RequestView[] }) {
  const scaleMs = latencyScale(requests);
  const pick = picked.value === undefined ? undefined : { picked: picked.value, toggle: togglePicked };
  return (
    <section class="card flush" aria-label="Recorded requests">
      <div class="card-head">
        <span class="dim" role="status">
          {pick === undefined
            ? `${plural(requests.length, 'request')} shown`
            : pick.picked.length === 0
              ? 'Tick two requests to lay them side by side.'
              : 'Tick another one.'}
        </span>
        <span class="actions">
          <SortChoice />
          <button
            type="button"
            class="quiet"
            aria-pressed={pick !== undefined}
            onClick={() => void (picked.value = pick === undefined ? [] : undefined)}
          >
            Compare two
          </button>
          <a href={`/dashboard/api/export?format=csv&${chosenQuery()}`} download>
            CSV
          </a>
          <a href={`/dashboard/api/export?format=json&${chosenQuery()}`} download>
            JSON
          </a>
        </span>
        <LatencyLegend />
      </div>
      <RowHead scaleMs={scaleMs} />
      {sorting() === 'time' ? (
        daysOf(requests).map(([day, ofDay]) => (
          <section key={day} aria-label={day}>
            <h2 class="day">{day}</h2>
            <RequestRows requests={ofDay} scaleMs={scaleMs} pick={pick} />
          </section>
        ))
      ) : (
        <RequestRows requests={sorted(requests)} scaleMs={scaleMs} pick={pick} />
      )}
    </section>
  );
}

const orders = [
  ['time', 'Newest first'],
  ['slowest', 'Slowest first'],
  ['dearest', 'Dearest first'],
  ['tokens', 'Most tokens first'],
  ['confidence', 'Least confident first'],
] as const;
type Order = (typeof orders)[number][0];

/** The order the address asks for. */
function sorting(): Order {
  const asked = place.value.query.get('sort');
  return orders.find(([order]) => order === asked)?.[0] ?? 'time';
}

/** Of the rows that are shown. */
function sorted(requests: readonly RequestView[]): readonly RequestView[] {
  const rank: Readonly<Record<Order, (request: RequestView) => number>> = {
    time: ({ timeMs }) => -timeMs,
    slowest: ({ totalMs }) => -(totalMs ?? 0),
    dearest: ({ costUsd }) => -(costUsd ?? 0),
    tokens: ({ promptTokens, completionTokens }) => -((promptTokens ?? 0) + (completionTokens ?? 0)),
    confidence: (request) => scoreOf(request) ?? 2,
  };
  const of = rank[sorting()];
  return requests.toSorted((a, b) => of(a) - of(b));
}

function SortChoice() {
  const choose = (order: string): void => {
    const query = new URLSearchParams(chosenQuery());
    if (order !== 'time') query.set('sort', order);
    go(query.size === 0 ? '/requests' : `/requests?${query}`, 'replace');
  };
  return (
    <select aria-label="Order" value={sorting()} onChange={({ currentTarget }) => choose(currentTarget.value)}>
      {orders.map(([order, text]) => (
        <option key={order} value={order}>
          {text}
        </option>
      ))}
    </select>
  );
}

/** Ids are in the response header `x-request-id`, and in an answer's own id. */
function SearchById() {
  const submit = (event: Event): void => {
    event.preventDefault();
    const input = document.querySelector<HTMLInputElement>('#search-id');
    const id = input?.value.trim() ?? '';
    if (id !== '') go(`/requests/${encodeURIComponent(id)}`);
  };
  return (
    <form role="search" onSubmit={submit}>
      <label for="search-id" class="unseen">
        Find a request by its id
      </label>
      <input id="search-id" type="search" placeholder="Find by id" />
    </form>
  );
}

/** How to see more, or that there is no more. */
function Foot({ pages: { query, requests, next, endedEarly, isLoading }, more }: { pages: Pages; more: () => void }) {
  if (next === null || next === undefined) {
    if (requests.length > 0) return <p class="foot dim">These are all on record.</p>;
    return query === '' ? <NothingRecorded /> : <NothingLikeThis />;
  }
  const back = dayAndTime(timeOfId(next));
  return (
    <div class="foot">
      <p role="status" class="dim">
        {isLoading && 'Looking…'}
        {!isLoading &&
          endedEarly &&
          (requests.length === 0 ? `Nothing found back to ${back}.` : `Nothing more back to ${back}.`)}
      </p>
      <button type="button" aria-disabled={isLoading} onClick={() => isLoading || more()}>
        {endedEarly ? 'Look further' : 'Load more'}
      </button>
    </div>
  );
}

function NothingRecorded() {
  return (
    <Empty title="No request is on record yet.">
      <p>
        Requests are listed here once they have ended. Send one from the <Link to="/playground">playground</Link>, or
        watch them come in <Link to="/now">Now</Link>.
      </p>
    </Empty>
  );
}

function NothingLikeThis() {
  return (
    <Empty title="No request on record matches.">
      <p>
        <Link to="/requests">Show all requests</Link>
      </p>
    </Empty>
  );
}

function Filters({ pages }: { pages: Pages }) {
  const { query } = place.value;
  const backends = new Set([
    ...(status.value?.backends.map(({ id }) => id) ?? []),
    ...pages.requests.flatMap(({ backend }) => backend ?? []),
    ...query.getAll('backend'),
  ]);
  const models = new Set([
    ...(status.value?.backends.flatMap((backend) => backend.models) ?? []),
    ...query.getAll('model'),
  ]);
  const isNarrowed = filterNames.some((name) => query.has(name));
  return (
    <form class="filters" aria-label="Which requests" onSubmit={(event) => event.preventDefault()}>
      <Choice
        name="route"
        label="Route"
        options={[
          ['local', 'local'],
          ['cloud', 'cloud'],
        ]}
      />
      <Choice
        name="outcome"
        label="Outcome"
        options={[
          ['ok', 'answered'],
          ['failed', 'failed'],
          ['refused', 'refused'],
          ['left', 'client left'],
          ['escalated', 'escalated'],
          ['degraded', 'degraded'],
        ]}
      />
      <Choice name="backend" label="Backend" options={[...backends].toSorted().map((id) => [id, id])} />
      <Choice name="model" label="Model" options={[...models].toSorted().map((id) => [id, id])} />
      <Choice name="key" label="Key" options={[...keyNames.value]} />
      <Choice
        name="mode"
        label="Mode"
        options={[
          ['auto', 'auto'],
          ['local', 'local'],
          ['cloud', 'cloud'],
        ]}
      />
      <Choice
        name="tools"
        label="Tools"
        options={[
          ['true', 'with tools'],
          ['false', 'without tools'],
        ]}
      />
      <Choice name="dialect" label="Dialect" options={dialects.map((name) => [name, name])} />
      <Choice name="status" label="Status" options={statuses.map((status) => [status, status])} />
      <Choice name="fromMs" label="Since" options={sinceOptions()} />
      <Choice name="reason" label="Reason" options={Object.entries(reasons)} />
      <Choice
        name="minMs"
        label="Took"
        options={[
          ['1000', 'over 1 s'],
          ['5000', 'over 5 s'],
          ['30000', 'over 30 s'],
        ]}
      />
      <Choice
        name="minCostUsd"
        label="Cost"
        options={[
          ['0.001', 'over $0.001'],
          ['0.01', 'over $0.01'],
          ['0.1', 'over $0.10'],
        ]}
      />
      {rareFilters.map(
        ([name, label]) => query.has(name) && <Choice key={name} name={name} label={label} options={[]} />,
      )}
      {isNarrowed && (
        <Link to="/requests" class="clear">
          Clear
        </Link>
      )}
    </form>
  );
}

/** Where other views lead to; seen while they narrow the list. */
const rareFilters = [
  ['error', 'Error'],
  ['device', 'Device'],
  ['untilMs', 'Until'],
] as const;
const statuses = ['200', '400', '401', '403', '404', '413', '429', '499', '500', '502', '503', '504'];
const dialects = ['openai-chat', 'openai-responses', 'anthropic', 'gemini', 'ollama'];

/** Moments in steps of ten minutes, so that the address stays the same for a while. */
function sinceOptions(): readonly (readonly [string, string])[] {
  const now = Math.floor(Date.now() / 600_000) * 600_000;
  const options = [
    [now - 3_600_000, '1 hour ago'],
    [now - 86_400_000, '1 day ago'],
    [now - 604_800_000, '7 days ago'],
  ] as const;
  return options.map(([timeMs, text]): readonly [string, string] => [String(timeMs), text]);
}

/** What the address asks for and the list does not offer. */
function textOf(name: FilterName, value: string): string {
  const isMoment = (name === 'fromMs' || name === 'untilMs') && /^\d{1,15}$/.test(value);
  return isMoment ? dayAndTime(Number(value)) : value;
}

interface ChoiceProps {
  readonly name: FilterName;
  readonly label: string;
  readonly options: readonly (readonly [value: string, text: string])[];
}

function Choice({ name, label, options }: ChoiceProps) {
  const chosen = place.value.query.get(name) ?? '';
  const choose = (value: string): void => {
    const query = new URLSearchParams(chosenQuery());
    if (value === '') query.delete(name);
    else query.set(name, value);
    go(query.size === 0 ? '/requests' : `/requests?${query}`, 'replace');
  };
  const isOffered = chosen === '' || options.some(([value]) => value === chosen);
  return (
    <div class={`choice ${chosen === '' ? '' : 'chosen'}`}>
      <label for={`only-${name}`}>{label}</label>
      <select id={`only-${name}`} value={chosen} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        <option value="">any</option>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
        {!isOffered && <option value={chosen}>{textOf(name, chosen)}</option>}
      </select>
    </div>
  );
}

/** The filters of the address, and nothing else of it. */
function chosenQuery(): string {
  const { query } = place.value;
  const chosen = filterNames.flatMap((name): [string, string][] => {
    const value = query.get(name);
    return value === null || value === '' ? [] : [[name, value]];
  });
  return new URLSearchParams(chosen).toString();
}

function daysOf(
  requests: readonly RequestView[],
): readonly (readonly [day: string, requests: readonly RequestView[]])[] {
  return [...Map.groupBy(requests, ({ timeMs }) => dayName(timeMs))];
}

/** Ids begin with their time (UUIDv7). */
function timeOfId(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}
