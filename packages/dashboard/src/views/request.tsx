import { reasons } from '@lfo/router/src/core/reason.ts';
import type { RequestBody } from '@lfo/router/src/admin/wire.ts';
import type { RequestView } from '@lfo/router/src/core/request-view.ts';
import { useEffect } from 'preact/hooks';
import { requests } from '../api/live.ts';
import { useResource } from '../api/resource.ts';
import { count, duration, fullDate, money, plural } from '../format.ts';
import { RouteBadge } from '../parts/badges.tsx';
import { ConfidenceMeter } from '../parts/confidence-meter.tsx';
import { FeedbackButtons } from '../parts/feedback-buttons.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Timeline } from '../parts/timeline.tsx';
import { scoreOf } from '../phases.ts';

/** The whole decision about one request. */
export function RequestPage({ id }: { id: string }) {
  const { value, error, reload } = useResource<RequestBody>(`/dashboard/api/requests/${encodeURIComponent(id)}`);
  const live = requests.value.find((request) => request.id === id);
  const hasMoved = live !== undefined && value !== undefined && live.state !== value.request.state;
  useEffect(() => {
    if (hasMoved) reload();
  }, [hasMoved, live?.state]);
  return (
    <>
      <p class="crumbs">
        <Link to="/requests">Requests</Link> <span aria-hidden="true">›</span> request
      </p>
      {value !== undefined && <Decision body={value} />}
      {value === undefined && error === undefined && <Loading />}
      {value === undefined && error !== undefined && <Missing error={error} retry={reload} />}
    </>
  );
}

function Missing({ error, retry }: { error: Error; retry: () => void }) {
  const isUnknown = 'status' in error && error.status === 404;
  if (!isUnknown) return <Failure error={error} retry={retry} />;
  return (
    <Empty title="No request with this id is on record.">
      <p>
        It may be older than what is kept. Ids are in the response header <code>x-request-id</code>.
      </p>
    </Empty>
  );
}

function Decision({ body: { request, feedback, features, signals } }: { body: RequestBody }) {
  const { reason, errorCode, state } = request;
  return (
    <>
      <ViewHead title={reason === null ? 'Request' : reasons[reason].replace(/\.$/, '')}>
        <RouteBadge request={request} />
      </ViewHead>
      <p class="lead">
        <time dateTime={new Date(request.timeMs).toISOString()}>{fullDate(request.timeMs)}</time>
        {errorCode !== null && (
          <>
            {' '}
            · ended with <code>{errorCode}</code>, status {request.status}
          </>
        )}
      </p>
      <section class="card">
        <h2>Time line</h2>
        <Timeline request={request} />
      </section>
      <div class="two">
        <section class="card">
          <h2>Facts</h2>
          <Facts request={request} />
        </section>
        <section class="card">
          <h2>Why</h2>
          <ConfidenceMeter score={scoreOf(request)} threshold={request.threshold} />
          <Reasons request={request} />
          {request.warnings.length > 0 && <p class="hint">Parameters not honoured: {request.warnings.join(', ')}</p>}
          {state === 'done' && errorCode === null && (
            <>
              <h3>Was the answer good?</h3>
              <FeedbackButtons id={request.id} given={feedback?.verdict} />
            </>
          )}
        </section>
      </div>
      <Raw title="What the policies knew" value={features} />
      <Raw title="What the judges saw" value={signals} />
    </>
  );
}

function Reasons({ request }: { request: RequestView }) {
  return (
    <ol class="reasons">
      {request.reasons.map((code) => (
        <li key={code}>
          {reasons[code]} <code>{code}</code>
        </li>
      ))}
    </ol>
  );
}

function Facts({ request }: { request: RequestView }) {
  const facts: readonly (readonly [name: string, value: string])[] = [
    ['Backend', request.backend ?? 'none'],
    ['Model', request.model ?? 'none'],
    ['Mode', `${request.mode}${request.stream ? ', streamed' : ''}`],
    ['Whole request', duration(request.totalMs)],
    ['First token', duration(request.firstTokenMs)],
    ['First byte sent', duration(request.committedMs)],
    ['Inside LFO', duration(request.overheadMs)],
    ['Prompt', `${count(request.promptTokens ?? request.routedTokens)} tokens`],
    ['Completion', `${count(request.completionTokens)} tokens`],
    ['From a cache', request.cachedTokens === null ? '–' : plural(request.cachedTokens, 'token')],
    ['Finish', request.finishReason ?? 'none'],
    ['Cost', request.costUsd === null && request.route === 'local' ? 'none, it ran locally' : money(request.costUsd)],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="number">{value}</dd>
        </div>
      ))}
      <div class="whole">
        <dt>Id</dt>
        <dd>
          <code>{request.id}</code>
        </dd>
      </div>
    </dl>
  );
}

function Raw({ title, value }: { title: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  return (
    <details class="card">
      <summary>{title}</summary>
      <pre tabIndex={0}>{JSON.stringify(value, null, 2)}</pre>
    </details>
  );
}
