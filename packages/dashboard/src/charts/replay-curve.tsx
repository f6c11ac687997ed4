import type { ReplayPoint } from '@lfo/router/src/records/history.ts';
import { percent, score } from '../format.ts';
import { Graph, pointsOf } from './graph.tsx';

/** A share of fewer verdicts than this says nothing. */
const minVerdicts = 5;

interface ReplayCurveProps {
  readonly points: readonly ReplayPoint[];
  /** Where the threshold is, and where it might be. */
  readonly actual: number;
  readonly chosen: number;
}

/** What each threshold would keep local, and how good that would be. */
export function ReplayCurve({ points, actual, chosen }: ReplayCurveProps) {
  const kept = points.map(({ threshold, kept, escalated }) => ({ x: threshold, y: kept / (kept + escalated) }));
  const good = points.flatMap(({ threshold, keptGood, keptBad }) =>
    keptGood + keptBad < minVerdicts ? [] : [{ x: threshold, y: keptGood / (keptGood + keptBad) }],
  );
  const at = kept.find(({ x }) => x === chosen);
  return (
    <>
      <Graph
        label={`A threshold of ${score(chosen)} would keep ${percent(at?.y)} local`}
        xName="threshold"
        yName="share"
        lines={
          <>
            <line class="actual" x1={actual * 100} x2={actual * 100} y1="0" y2="100" />
            <polyline class="s-local" points={pointsOf(kept)} />
            <polyline class="s-good" points={pointsOf(good)} />
          </>
        }
      >
        {at !== undefined && (
          <span class="dot-mark large" style={{ left: `${at.x * 100}%`, bottom: `${at.y * 100}%` }} />
        )}
      </Graph>
      <ul class="legend">
        <li>
          <span class="swatch c-local" aria-hidden="true" />
          stays local
        </li>
        {good.length > 0 && (
          <li>
            <span class="swatch c-good dashed" aria-hidden="true" />
            judged good of what stays
          </li>
        )}
        <li>
          <span class="swatch c-text dashed" aria-hidden="true" />
          threshold now
        </li>
      </ul>
    </>
  );
}
