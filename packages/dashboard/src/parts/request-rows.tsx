import { reasons } from '@lfo/router/src/core/reason.ts';
import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { count, duration, onScale, timeOfDay } from '../format.ts';
import { scoreOf } from '../phases.ts';
import { RouteBadge } from './badges.tsx';
import { ConfidenceMeter } from './confidence-meter.tsx';
import { sentence } from './evidence.tsx';
import { LatencyBar } from './latency-bar.tsx';
import { Link } from './link.tsx';

/** What the columns of the rows are. */
export function RowHead({ scaleMs }: { scaleMs: number }) {
  return (
    <div class="row row-head" aria-hidden="true">
      <span>Time</span>
      <span>Route</span>
      <span>Backend and reason</span>
      <span>Confidence</span>
      <span>Latency, 0 to {onScale(duration(scaleMs))}</span>
      <span class="end">Tokens</span>
    </div>
  );
}

/** Why it went where it went; for an escalation the numbers say more than a sentence. */
function whyOf({ reason, backend, route, threshold, attempts }: RequestView): string {
  const local = attempts.findLast(({ tier }) => tier === 'local')?.score ?? null;
  if (route === 'cloud' && reason === 'low_confidence' && local !== null && backend !== null) {
    return `local scored ${local.toFixed(2)} < ${threshold.toFixed(2)} → ${backend}`;
  }
  return reason === null ? 'Deciding' : reasons[reason];
}

/** One line a request; each leads to its page. */
export function RequestRows({ requests, scaleMs, pick }: RequestRowsProps) {
  return (
    <ol class="rows">
      {requests.map((request) => (
        <Row key={request.id} request={request} scaleMs={scaleMs} pick={pick} />
      ))}
    </ol>
  );
}

interface RequestRowsProps {
  readonly requests: readonly RequestView[];
  /** Of the latency; `latencyScale` of all rows beside each other. */
  readonly scaleMs: number;
  /** Lets rows be picked, to be compared. */
  readonly pick?: { readonly picked: readonly string[]; readonly toggle: (id: string) => void } | undefined;
}

function Row({ request, scaleMs, pick }: { request: RequestView } & Omit<RequestRowsProps, 'requests'>) {
  const { errorCode } = request;
  // A running request is where its latest attempt is.
  const { backend, model } = request.backend === null ? (request.attempts.at(-1) ?? request) : request;
  return (
    <li class={pick === undefined ? '' : 'picking'}>
      {pick !== undefined && (
        <input
          type="checkbox"
          aria-label={`Compare the request of ${timeOfDay(request.timeMs)}`}
          checked={pick.picked.includes(request.id)}
          onChange={() => pick.toggle(request.id)}
        />
      )}
      <Link to={`/requests/${request.id}`} class={`row ${request.state}`}>
        <time class="dim number" dateTime={new Date(request.timeMs).toISOString()}>
          {timeOfDay(request.timeMs)}
        </time>
        <span>
          <RouteBadge request={request} />
        </span>
        <span class="what">
          <span class="strong">
            {request.device ?? backend ?? (request.isTurnedAway ? (request.path ?? 'refused') : 'no backend')}
            {model !== null && <span class="dim"> {model}</span>}
          </span>
          <span class="why">{errorCode === null ? whyOf(request) : sentence(errorCode)}</span>
        </span>
        <ConfidenceMeter score={scoreOf(request)} threshold={request.threshold} />
        <LatencyBar request={request} scaleMs={scaleMs} />
        <span class="number end tokens" title="Prompt and completion tokens">
          {request.promptTokens === null && request.routedTokens !== null && '≤ '}
          {count(request.promptTokens ?? request.routedTokens)} → {count(request.completionTokens)}
        </span>
      </Link>
    </li>
  );
}
