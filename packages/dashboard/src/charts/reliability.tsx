import type { ReliabilityBin } from '@lfo/router/src/core/history.ts';
import { count, percent, score } from '../format.ts';

const [size, pad, end] = [280, 48, 18];

/** Share of good answers against their score; a score that means what it says lies on the diagonal. */
export function Reliability({ bins }: { bins: readonly ReliabilityBin[] }) {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const x = (value: number): number => pad + value * (size - pad - end);
  const y = (value: number): number => size - pad - value * (size - pad - end);
  const label = bins
    .map((bin) => `score ${score(bin.score)}: ${percent(bin.good)} good of ${count(bin.count)}`)
    .join(', ');
  return (
    <svg class="drawing square" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={`Reliability: ${label}`}>
      <line class="axis" x1={x(0)} x2={x(1)} y1={y(0)} y2={y(0)} />
      <line class="axis" x1={x(0)} x2={x(0)} y1={y(0)} y2={y(1)} />
      <line class="diagonal" x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} />
      <polyline class="s-local" points={bins.map((bin) => `${x(bin.score)},${y(bin.good)}`).join(' ')} />
      {bins.map((bin) => (
        <circle
          key={bin.score}
          class="f-local"
          cx={x(bin.score)}
          cy={y(bin.good)}
          r={3 + 5 * Math.sqrt(bin.count / most)}
        />
      ))}
      {[0, 0.5, 1].map((at) => (
        <text key={at} class="tick" x={x(at)} y={size - 14} text-anchor="middle">
          {score(at)}
        </text>
      ))}
      {[0.5, 1].map((at) => (
        <text key={at} class="tick" x={pad - 4} y={y(at) + 4} text-anchor="end">
          {percent(at)}
        </text>
      ))}
      <text class="tick" x={size / 2 + pad / 2} y={size - 1} text-anchor="middle">
        score
      </text>
    </svg>
  );
}
