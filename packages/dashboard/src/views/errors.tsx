import { type ErrorGroup, trendRanges } from '@lfo/router/src/records/history.ts';
import { useResource } from '../api/resource.ts';
import { count, dayAndTime, plural } from '../format.ts';
import { Link } from '../parts/link.tsx';
import { sentence } from '../parts/evidence.tsx';
import { chosenRange, RangeTabs } from '../parts/range-tabs.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { WideTable } from '../parts/wide-table.tsx';

/** What got no answer, by its cause. */
export function ErrorsView() {
  const { value, error, reload } = useResource<{ readonly errors: readonly ErrorGroup[] }>(
    `/dashboard/api/errors?range=${chosenRange()}`,
    30_000,
  );
  return (
    <>
      <p class="crumbs">
        <Link to="/requests">Requests</Link> <span aria-hidden="true">›</span> errors
      </p>
      <ViewHead title="Errors by cause">
        <RangeTabs />
      </ViewHead>
      {value !== undefined && <Groups groups={value.errors} />}
      {value === undefined && error === undefined && <Loading />}
      {error !== undefined && <Failure error={error} retry={reload} />}
    </>
  );
}

function Groups({ groups }: { groups: readonly ErrorGroup[] }) {
  // In full minutes, so that the address stays the same for one.
  const fromMs = Math.floor((Date.now() - trendRanges[chosenRange()].spanMs) / 60_000) * 60_000;
  if (groups.length === 0) {
    return (
      <Empty title="Nothing went wrong in this time.">
        <p>Every request got an answer.</p>
      </Empty>
    );
  }
  return (
    <section class="card flush">
      <WideTable
        label="Errors by cause"
        columns={[['Cause'], ['Whose'], ['Status', 'end'], ['Requests', 'end'], ['Keys', 'end'], ['Latest']]}
      >
        {groups.map((group) => (
          <tr key={`${group.code} ${group.status} ${group.source} ${group.isTurnedAway}`}>
            <th scope="row">
              <Link to={`/requests?error=${encodeURIComponent(group.code)}&status=${group.status}&fromMs=${fromMs}`}>
                {sentence(group.code)}
              </Link>
            </th>
            <td>{whoseOf(group)}</td>
            <td class="number end">{group.status}</td>
            <td class="number end">{count(group.count)}</td>
            <td class="number end">{count(group.keys)}</td>
            <td>
              <Link to={`/requests/${group.latestId}`}>{dayAndTime(timeOfId(group.latestId))}</Link>
            </td>
          </tr>
        ))}
      </WideTable>
      <p class="hint">{plural(groups.length, 'cause')}, from the latest 20,000 requests without an answer.</p>
    </section>
  );
}

function whoseOf({ source, status, isTurnedAway }: ErrorGroup): string {
  if (status === 499) return 'the client left';
  if (source === 'upstream') return 'a backend failed';
  return isTurnedAway ? 'refused by LFO' : 'LFO';
}

/** Ids begin with their time (UUIDv7). */
function timeOfId(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}
