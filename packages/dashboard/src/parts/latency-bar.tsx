import type { ComponentChildren } from 'preact';
import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { duration } from '../format.ts';
import { phaseNames, phaseTotals, type PhaseKind } from '../phases.ts';

const kinds: readonly PhaseKind[] = ['queue', 'prefill', 'decode', 'cloud'];

/** How long a request took, and on what. */
export function LatencyBar({ request }: { request: RequestView }) {
  if (request.state !== 'done') {
    return <span class="latency running">{request.state === 'answering' ? 'answering' : 'running'}</span>;
  }
  const phases = phaseTotals(request);
  const sum = phases.reduce((total, { ms }) => total + ms, 0);
  return (
    <span class="latency" title={phases.map(({ kind, ms }) => `${phaseNames[kind]} ${duration(ms)}`).join(', ')}>
      <span class="stack" aria-hidden="true">
        {phases.map(({ kind, ms }) => (
          <span key={kind} class={`phase ${kind}`} style={{ width: `${(ms / sum) * 100}%` }} />
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
