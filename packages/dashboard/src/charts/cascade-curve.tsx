import type { CascadePoint } from '@lfo/router/src/records/history.ts';
import { percent, score } from '../format.ts';
import { Graph, pointsOf } from './graph.tsx';

/** Quality against the share of the cloud, threshold by threshold, with the point where it stands now. */
export function CascadeCurve({ points, threshold }: { points: readonly CascadePoint[]; threshold: number }) {
  const now = points.findLast((point) => point.threshold <= threshold);
  return (
    <Graph
      label={
        now === undefined
          ? 'Quality against the share of the cloud'
          : `At ${score(threshold)} the cloud answers ${percent(now.cloudShare)} and ${percent(now.quality)} is right`
      }
      xName="share of the cloud"
      yName="right in the end"
      lines={
        <polyline
          class="s-local"
          points={pointsOf(points.map(({ cloudShare, quality }) => ({ x: cloudShare, y: quality })))}
        />
      }
    >
      {now !== undefined && (
        <span class="dot-mark large" style={{ left: `${now.cloudShare * 100}%`, bottom: `${now.quality * 100}%` }} />
      )}
    </Graph>
  );
}
