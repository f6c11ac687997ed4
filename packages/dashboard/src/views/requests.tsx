import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { reasons } from '@lfo/router/src/core/reason.ts';
import { status } from '../api/live.ts';
import { type Pages, usePages } from '../api/pages.ts';
import { dayAndTime, dayName, plural } from '../format.ts';
import { go, place } from '../navigation.ts';
import { LatencyLegend } from '../parts/latency-bar.tsx';
import { Link } from '../parts/link.tsx';
import { RequestRows, RowHead } from '../parts/request-rows.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';

const filterNames = ['route', 'outcome', 'backend', 'reason'] as const;
type FilterName = (typeof filterNames)[number];

/** Everything on record, the newest first, narrowed by what the address says. */
export function RequestsView() {
  const query = chosenQuery();
  const { pages, more, reload } = usePages(query);
  const isFirst = pages.next === undefined;
  return (
    <>
      <ViewHead title="Requests">
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
  return (
    <section class="card flush" aria-label="Recorded requests">
      <div class="card-head">
        <span class="dim">{plural(requests.length, 'request')} shown</span>
        <LatencyLegend />
      </div>
      <RowHead />
      {daysOf(requests).map(([day, ofDay]) => (
        <section key={day} aria-label={day}>
          <h2 class="day">{day}</h2>
          <RequestRows requests={ofDay} />
        </section>
      ))}
    </section>
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
    <Empty title="No request on record is like this.">
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
          ['degraded', 'degraded'],
        ]}
      />
      <Choice name="backend" label="Backend" options={[...backends].toSorted().map((id) => [id, id])} />
      <Choice name="reason" label="Reason" options={Object.entries(reasons)} />
      {isNarrowed && (
        <Link to="/requests" class="clear">
          Clear
        </Link>
      )}
    </form>
  );
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
