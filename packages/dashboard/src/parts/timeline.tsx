import { reasons } from '@lfo/router/src/core/reason.ts';
import type { AttemptView, RequestView } from '@lfo/router/src/records/request-view.ts';
import { duration, onScale, plural, score } from '../format.ts';
import { heldOf, phaseNames, phasesOf } from '../phases.ts';
import { TierBadge } from './badges.tsx';
import { words } from './evidence.tsx';
import { LatencyLegend } from './latency-bar.tsx';
import { Empty } from './states.tsx';

/** Marks a scale may bear, at most. */
const maxMarks = 6;

/** Would read as `0.0 ms`. */
const tooShortMs = 0.05;

/** Attempts one below the other on the time of their request. */
export function Timeline({ request }: { request: RequestView }) {
  const { attempts, committedMs } = request;
  const endMs = Math.max(1, request.totalMs ?? 0, ...attempts.map((attempt) => attempt.endMs ?? attempt.startMs));
  const at = (ms: number): string => `${Math.min(100, (ms / endMs) * 100)}%`;
  const marks = marksUpTo(endMs);
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
      <ol>
        {attempts.map((attempt, index) => (
          <li key={index}>
            <p class="attempt-head">
              <TierBadge tier={attempt.tier} /> <span class="strong">{attempt.backend ?? 'no backend'}</span>{' '}
              <span class="dim">{attempt.model}</span>
            </p>
            <Track attempt={attempt} at={at} marks={marks} committedMs={committedMs} />
            <p class="attempt-foot">{sentenceOf(attempt)}</p>
          </li>
        ))}
      </ol>
      <p class="scale number" aria-hidden="true">
        {marks.map((ms) => (
          <span key={ms} style={{ left: at(ms) }}>
            {ms === 0 ? '0' : onScale(duration(ms))}
          </span>
        ))}
      </p>
      <LatencyLegend>
        {attempts.some((attempt) => heldOf(attempt) !== undefined) && (
          <li>
            <span class="swatch held" aria-hidden="true" />
            held back until the verdict
          </li>
        )}
        {committedMs !== null && (
          <li>
            <span class="swatch mark" aria-hidden="true" />
            first byte to the client, <span class="number">{duration(committedMs)}</span>
          </li>
        )}
      </LatencyLegend>
    </div>
  );
}

interface TrackProps {
  readonly attempt: AttemptView;
  readonly at: (ms: number) => string;
  readonly marks: readonly number[];
  readonly committedMs: number | null;
}

function Track({ attempt, at, marks, committedMs }: TrackProps) {
  const held = heldOf(attempt);
  return (
    <div class="track" aria-hidden="true">
      {marks.slice(1).map((ms) => (
        <span key={ms} class="mark" style={{ left: at(ms) }} />
      ))}
      {phasesOf(attempt).map(({ kind, startMs, endMs }) => (
        <span key={kind} class={`phase ${kind}`} style={{ left: at(startMs), width: at(endMs - startMs) }} />
      ))}
      {held !== undefined && (
        <span class="held" style={{ left: at(held.startMs), width: at(held.endMs - held.startMs) }} />
      )}
      {committedMs !== null && attempt.outcome === 'answered' && (
        <span class="commit" style={{ left: at(committedMs) }} />
      )}
    </div>
  );
}

/** Round times from 0 on that lie within the scale. */
function marksUpTo(endMs: number): readonly number[] {
  const rough = endMs / maxMarks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, index) => index * step);
}

function sentenceOf(attempt: AttemptView): string {
  const { outcome, reason, score: value, errorCode, errorStatus, heldMs, heldTokens } = attempt;
  const parts = [
    ...phasesOf(attempt).flatMap(({ kind, startMs, endMs }) =>
      endMs - startMs < tooShortMs ? [] : [`${phaseNames[kind]} ${duration(endMs - startMs)}`],
    ),
    ...(heldMs !== null && heldMs > 0
      ? [`held back ${duration(heldMs)}${heldTokens === null ? '' : `, ${plural(heldTokens, 'token')}`}`]
      : []),
    ...(value === null ? [] : [`score ${score(value)}`]),
  ];
  const status = errorStatus === null ? '' : `, status ${errorStatus}`;
  const end = errorCode !== null ? `Failed: ${words(errorCode)}${status}` : (outcome ?? 'running');
  const why = reason === null ? '' : ` ${reasons[reason]}`;
  const how = parts.join(', ');
  return `${end[0]?.toUpperCase() ?? ''}${end.slice(1)}.${why} ${how[0]?.toUpperCase() ?? ''}${how.slice(1)}${how === '' ? '' : '.'}`;
}
