import { reasons } from '@lfo/router/src/core/reason.ts';
import type { AttemptView, RequestView } from '@lfo/router/src/core/request-view.ts';
import { duration, score } from '../format.ts';
import { phaseNames, phasesOf } from '../phases.ts';
import { TierBadge } from './badges.tsx';
import { LatencyLegend } from './latency-bar.tsx';
import { Empty } from './states.tsx';

/** Attempts one below the other on the time of their request. */
export function Timeline({ request }: { request: RequestView }) {
  const { attempts, committedMs } = request;
  const endMs = Math.max(1, request.totalMs ?? 0, ...attempts.map((attempt) => attempt.endMs ?? attempt.startMs));
  const at = (ms: number): string => `${Math.min(100, (ms / endMs) * 100)}%`;
  if (attempts.length === 0) {
    return (
      <Empty title="Nothing was tried.">
        <p>
          {request.state === 'done' ? 'The request was refused before any backend was asked.' : 'It is being routed.'}
        </p>
      </Empty>
    );
  }
  return (
    <div class="timeline">
      <LatencyLegend />
      <ol>
        {attempts.map((attempt, index) => (
          <li key={index}>
            <p class="attempt-head">
              <TierBadge tier={attempt.tier} /> <span class="strong">{attempt.backend ?? 'no backend'}</span>{' '}
              <span class="dim">{attempt.model}</span>
            </p>
            <div class="track" aria-hidden="true">
              {phasesOf(attempt).map(({ kind, startMs, endMs: phaseEndMs }) => (
                <span
                  key={kind}
                  class={`phase ${kind}`}
                  style={{ left: at(startMs), width: at(phaseEndMs - startMs) }}
                />
              ))}
              {committedMs !== null && attempt.outcome === 'answered' && (
                <span class="commit" style={{ left: at(committedMs) }} />
              )}
            </div>
            <p class="attempt-foot">{sentenceOf(attempt)}</p>
          </li>
        ))}
      </ol>
      <p class="scale number" aria-hidden="true">
        <span>0 ms</span>
        {committedMs !== null && <span class="dim">│ first byte to the client at {duration(committedMs)}</span>}
        <span>{duration(endMs)}</span>
      </p>
    </div>
  );
}

function sentenceOf(attempt: AttemptView): string {
  const { outcome, reason, score: value, errorCode, heldMs, heldTokens } = attempt;
  const parts = [
    ...phasesOf(attempt).map(({ kind, startMs, endMs }) => `${phaseNames[kind]} ${duration(endMs - startMs)}`),
    ...(heldMs !== null && heldMs > 0
      ? [`held back ${duration(heldMs)}${heldTokens === null ? '' : `, ${heldTokens} tokens`}`]
      : []),
    ...(value === null ? [] : [`score ${score(value)}`]),
  ];
  const end = errorCode !== null ? `Failed: ${errorCode}` : (outcome ?? 'running');
  return `${end[0]?.toUpperCase() ?? ''}${end.slice(1)}${reason === null ? '' : `. ${reasons[reason].replace(/\.$/, '')}`}. ${parts.join(', ')}.`;
}
