import type { ReliabilityBin } from '@lfo/router/src/records/history.ts';
import { count, percent, plural, score } from '../format.ts';
import { Graph, pointsOf } from './graph.tsx';

/** Share of good answers against their score; a score that means what it says lies on the diagonal. */
export function Reliability({ bins }: { bins: readonly ReliabilityBin[] }) {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const label = bins
    .map((bin) => `score ${score(bin.score)}: ${percent(bin.good)} good of ${count(bin.count)}`)
    .join(', ');
  return (
    <Graph
      label={`Reliability: ${label}`}
      xName="score"
      yName="judged good"
      lines={
        <>
          <line class="diagonal" x1="0" y1="100" x2="100" y2="0" />
          <polyline class="s-local" points={pointsOf(bins.map(({ score, good }) => ({ x: score, y: good })))} />
        </>
      }
    >
      {bins.map((bin) => (
        <span
          key={bin.score}
          class="dot-mark"
          title={`${percent(bin.good)} good of ${plural(bin.count, 'verdict')}, score ${score(bin.score)}`}
          style={{
            left: `${bin.score * 100}%`,
            bottom: `${bin.good * 100}%`,
            width: `${8 + 10 * Math.sqrt(bin.count / most)}px`,
          }}
        />
      ))}
    </Graph>
  );
}
