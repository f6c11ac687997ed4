import type { RequestBody } from '@lfo/router/src/admin/wire.ts';
import { useResource } from '../api/resource.ts';
import { dayAndTime } from '../format.ts';
import { place } from '../navigation.ts';
import { RouteBadge } from '../parts/badges.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Timeline } from '../parts/timeline.tsx';
import { groupsOf } from './request-facts.ts';
import { WideTable } from '../parts/wide-table.tsx';

/** Two requests side by side; the address names them. What differs stands out. */
export function CompareView() {
  const { query } = place.value;
  const [a, b] = [query.get('a'), query.get('b')];
  if (a === null || b === null) {
    return (
      <>
        <ViewHead title="Compare" />
        <Empty title="Two requests are needed.">
          <p>
            Choose <em>Compare two</em> in <Link to="/requests">Requests</Link> and tick them, or begin on a request’s
            page.
          </p>
        </Empty>
      </>
    );
  }
  return <Both key={`${a} ${b}`} a={a} b={b} />;
}

function Both({ a, b }: { a: string; b: string }) {
  const one = useResource<RequestBody>(`/dashboard/api/requests/${encodeURIComponent(a)}`);
  const other = useResource<RequestBody>(`/dashboard/api/requests/${encodeURIComponent(b)}`);
  const failed = one.error === undefined ? other : one;
  return (
    <>
      <ViewHead title="Compare two requests" />
      {failed.error !== undefined && <Failure error={failed.error} retry={failed.reload} />}
      {failed.error === undefined && (one.value === undefined || other.value === undefined) && <Loading />}
      {one.value !== undefined && other.value !== undefined && <Beside bodies={[one.value, other.value]} />}
    </>
  );
}

const places = ['First', 'Second'] as const;

function Beside({ bodies }: { bodies: readonly [RequestBody, RequestBody] }) {
  const [first, second] = [factsOf(bodies[0]), factsOf(bodies[1])];
  const names = [...new Set([...first.keys(), ...second.keys()])];
  return (
    <>
      <div class="two">
        {bodies.map(({ request }, index) => (
          <section key={request.id} class="card" aria-label={`${places[index]} request`}>
            <div class="card-head">
              <h2>
                <Link to={`/requests/${request.id}`}>
                  {places[index]}: {dayAndTime(request.timeMs)}
                </Link>
              </h2>
              <RouteBadge request={request} />
            </div>
            <Timeline request={request} />
          </section>
        ))}
      </div>
      <section class="card flush">
        <WideTable label="What is known of both" columns={[['What'], ...places.map((name) => [name] as const)]}>
          {names.map((name) => {
            const [here = '–', there = '–'] = [first.get(name), second.get(name)];
            return (
              <tr key={name} class={here === there ? 'same' : ''}>
                <th scope="row">{name}</th>
                <td>{here}</td>
                <td>{there}</td>
              </tr>
            );
          })}
        </WideTable>
      </section>
    </>
  );
}

function factsOf(body: RequestBody): ReadonlyMap<string, string> {
  return new Map(
    groupsOf(body).flatMap(([group, rows]) => rows.map(([name, value]) => [`${group}: ${name}`, value] as const)),
  );
}
