import { reasons } from '@lfo/router/src/core/reason.ts';
import type { FeedbackView } from '@lfo/router/src/records/history.ts';
import type { RequestBody } from '@lfo/router/src/admin/wire.ts';
import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { useEffect } from 'preact/hooks';
import { requests } from '../api/live.ts';
import { useResource } from '../api/resource.ts';
import { dayAndTime, fullDate, score } from '../format.ts';
import { RouteBadge } from '../parts/badges.tsx';
import { ConfidenceMeter } from '../parts/confidence-meter.tsx';
import { compareWith } from '../parts/compare-pick.ts';
import { Conversation } from '../parts/conversation.tsx';
import { CopyButton } from '../parts/copy-button.tsx';
import { Features, Signals } from '../parts/evidence.tsx';
import { FeedbackButtons } from '../parts/feedback-buttons.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failure, Loading, ViewHead } from '../parts/states.tsx';
import { Timeline } from '../parts/timeline.tsx';
import { scoreOf } from '../phases.ts';
import { Fact } from '../parts/fact.tsx';
import { groupsOf } from './request-facts.ts';

/** The whole decision about one request. */
export function RequestPage({ id }: { id: string }) {
  const { value, error, reload } = useResource<RequestBody>(`/dashboard/api/requests/${encodeURIComponent(id)}`);
  const live = requests.value.find((request) => request.id === id);
  const hasMoved = live !== undefined && value !== undefined && live.state !== value.request.state;
  useEffect(() => {
    if (hasMoved) reload();
  }, [hasMoved, live?.state]);
  useEffect(() => {
    if (value === undefined || !mayBecomeMore(value)) return undefined;
    const timer = setTimeout(reload, writtenWithinMs);
    return () => clearTimeout(timer);
  }, [value]);
  return (
    <>
      <p class="crumbs">
        <Link to="/requests">Requests</Link> <span aria-hidden="true">›</span> request
      </p>
      {value !== undefined && <Decision body={{ ...value, request: latest(value.request, live) }} />}
      {value === undefined && error === undefined && <Loading />}
      {value === undefined && error !== undefined && <Missing error={error} retry={reload} />}
    </>
  );
}

/** A request that runs is followed; of one that has ended more is known to the router than the live list tells. */
function latest(asked: RequestView, live: RequestView | undefined): RequestView {
  return asked.state === 'done' || live === undefined ? asked : live;
}

/** What has just ended is known from memory, and in full once it has been written to the database. */
function mayBecomeMore({ request, features }: RequestBody): boolean {
  const endedMs = request.timeMs + (request.totalMs ?? 0);
  return request.state === 'done' && features === null && Date.now() - endedMs < recentMs;
}

const writtenWithinMs = 1_000;
const recentMs = 60_000;

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

function Decision({ body }: { body: RequestBody }) {
  const { request, feedback, features, signals, capture } = body;
  const { reason, errorCode, state } = request;
  return (
    <>
      <ViewHead title={reason === null ? 'Request' : reasons[reason].replace(/\.$/, '')}>
        <RouteBadge request={request} />
        <Actions body={body} />
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
          <h2>Why</h2>
          <Reasons request={request} />
          {request.warnings.length > 0 && <p class="hint">Parameters not honoured: {request.warnings.join(', ')}</p>}
        </section>
        <section class="card">
          <h2>Confidence</h2>
          <Judgement request={request} />
          {state === 'done' && errorCode === null && (
            <>
              <h3>Was the answer good?</h3>
              <FeedbackButtons id={request.id} given={feedback?.verdict} />
              {feedback !== null && <Said feedback={feedback} />}
            </>
          )}
        </section>
      </div>
      <Facts body={body} />
      {state === 'done' && <Conversation capture={capture} />}
      <div class="two">
        <Features value={features} />
        <Signals value={signals} />
      </div>
    </>
  );
}

/** What can be done with a request: copied, exported, asked again. Its words are there only where they were kept. */
function Actions({ body }: { body: RequestBody }) {
  const { request, capture } = body;
  const prompt = capture?.messages.findLast(({ role }) => role === 'user')?.text;
  return (
    <span class="actions">
      <CopyButton text={() => JSON.stringify(body, null, 2)} label="Copy JSON" />
      {capture !== null && <CopyButton text={() => curlOf(body)} label="Copy as curl" />}
      {prompt !== undefined && <Link to={`/playground?from=${encodeURIComponent(request.id)}`}>Ask again</Link>}
      <button type="button" class="quiet" onClick={() => compareWith(request.id)}>
        Compare
      </button>
      {request.clientKey !== null && (
        <Link to={`/requests?key=${encodeURIComponent(request.clientKey)}`}>Same key</Link>
      )}
    </span>
  );
}

function curlOf({ request, capture }: RequestBody): string {
  const messages = capture?.messages.map(({ role, text }) => ({ role, content: text })) ?? [];
  const asked = { messages, ...(request.mode !== null && { metadata: { mode: request.mode } }) };
  const quoted = JSON.stringify(asked).replaceAll("'", String.raw`'\''`);
  return `curl ${location.origin}/v1/chat/completions -H 'content-type: application/json' -d '${quoted}'`;
}

function Said({ feedback: { timeMs, expectedRoute } }: { feedback: FeedbackView }) {
  return (
    <p class="hint">
      Said on {dayAndTime(timeMs)}
      {expectedRoute !== null && `; it should have gone to the ${expectedRoute} tier`}.
    </p>
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

function Judgement({ request }: { request: RequestView }) {
  const [value, { threshold }] = [scoreOf(request), request];
  if (value === null) return <p class="hint">Nothing was scored: the threshold of {score(threshold)} was not asked.</p>;
  return (
    <>
      <ConfidenceMeter score={value} threshold={threshold} />
      <p class="hint">
        {value >= threshold ? 'Reached' : 'Below'} the threshold of {score(threshold)}, which the mark shows.
      </p>
    </>
  );
}

function Facts({ body }: { body: RequestBody }) {
  return (
    <section class="card">
      <div class="groups">
        {groupsOf(body).map(([group, facts]) => (
          <div key={group}>
            <h2>{group}</h2>
            <dl class="readings">
              {facts.map(([name, value]) => (
                <Fact key={name} name={name} value={value} />
              ))}
            </dl>
          </div>
        ))}
      </div>
      <p class="hint">
        Id <code>{body.request.id}</code>
      </p>
    </section>
  );
}
