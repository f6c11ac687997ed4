import type { ComponentChildren } from 'preact';
import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { duration } from '../format.ts';
import { percentile } from '../percentile.ts';
import { phaseNames, phaseTotals, type PhaseKind } from '../phases.ts';

const kinds: readonly PhaseKind[] = ['queue', 'prefill', 'decode', 'cloud'];

/** Scales that bars may have, in milliseconds. */
const scalesMs = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 300_000];

/** The scale on which nine in ten of these fit: one for all of them, so that they can be compared. */
export function latencyScale(requests: readonly RequestView[]): number {
  const times = requests.flatMap(({ totalMs }) => totalMs ?? []);
  const most = percentile(times, 0.9) ?? 0;
  return scalesMs.find((scale) => scale >= most) ?? 600_000;
}

/** How long a request took, and on what; what is longer than the scale ends in a fade. */
export function LatencyBar({ request, scaleMs }: { request: RequestView; scaleMs: number }) {
  if (request.state !== 'done') {
    return <span class="latency running">{request.state === 'answering' ? 'answering' : 'running'}</span>;
  }
  const phases = phaseTotals(request);
  const sum = phases.reduce((total, { ms }) => total + ms, 0);
  const isOver = (request.totalMs ?? 0) > scaleMs;
  return (
    <span class="latency" title={phases.map(({ kind, ms }) => `${phaseNames[kind]} ${duration(ms)}`).join(', ')}>
      <span class={`stack ${isOver ? 'over' : ''}`} aria-hidden="true">
        {phases.map(({ kind, ms }) => (
          <span key={kind} class={`phase ${kind}`} style={{ width: `${(ms / (isOver ? sum : scaleMs)) * 100}%` }} />
        ))}
      </span>
      <span class="number">{duration(request.totalMs)}</span>
    </span>
  );
}

/** What the colours of a latency bar mean. */
export function LatencyLegend({ children }: { children?: ComponentChildren }) {
  return (
    <ul class="legend" aria-label="Parts of the latency">
      {kinds.map((kind) => (
        <li key={kind}>
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {phaseNames[kind]}
        </li>
      ))}
      {children}
    </ul>
  );
}
