import type { ConfidenceReport, JudgedOutcome } from '@lfo/router/src/core/history.ts';
import { count, score } from '../format.ts';

const outcomes: readonly { readonly key: JudgedOutcome; readonly name: string; readonly tone: string }[] = [
  { key: 'kept', name: 'kept local', tone: 'local' },
  { key: 'escalated', name: 'escalated for its score', tone: 'cloud' },
  { key: 'refused', name: 'escalated for its form', tone: 'warn' },
  { key: 'degraded', name: 'given though it did not pass', tone: 'failed' },
];
const [width, height, foot] = [600, 220, 24];

/** How many local answers had which score, by what became of them, with a line at the threshold. */
export function Histogram({ histogram, threshold }: Pick<ConfidenceReport, 'histogram' | 'threshold'>) {
  const bins = histogram.kept.length;
  const totals = Array.from({ length: bins }, (_, bin) => outcomes.reduce((sum, { key }) => sum + (histogram[key][bin] ?? 0), 0));
  const highest = Math.max(1, ...totals);
  const step = width / bins;
  const x = (threshold ?? 0) * width;
  return (
    <>
      <svg class="drawing" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={labelOf(totals)}>
        {totals.map((_, bin) => {
          let top = height - foot;
          return outcomes.map(({ key, tone }) => {
            const size = ((histogram[key][bin] ?? 0) / highest) * (height - foot - 22);
            top -= size;
            if (size === 0) return null;
            return <rect key={`${key}${bin}`} class={`f-${tone}`} x={bin * step + 2} y={top} width={step - 4} height={size} rx="2" />;
          });
        })}
        <line class="axis" x1="0" x2={width} y1={height - foot} y2={height - foot} />
        {[0, 0.25, 0.5, 0.75, 1].map((at) => (
          <text key={at} class="tick" x={at * width} y={height - 6} text-anchor={at === 0 ? 'start' : at === 1 ? 'end' : 'middle'}>
            {score(at)}
          </text>
        ))}
        {threshold !== null && (
          <>
            <line class="threshold" x1={x} x2={x} y1="0" y2={height - foot} />
            <text class="threshold-name" x={x + (threshold > 0.6 ? -6 : 6)} y="12" text-anchor={threshold > 0.6 ? 'end' : 'start'}>
              threshold {score(threshold)}
            </text>
          </>
        )}
      </svg>
      <ul class="legend">
        {outcomes.map(({ key, name, tone }) => (
          <li key={key}>
            <span class={`swatch c-${tone}`} aria-hidden="true" />
            {name} <span class="number strong">{count(histogram[key].reduce((sum, value) => sum + value, 0))}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function labelOf(totals: readonly number[]): string {
  const parts = totals.flatMap((total, bin) => (total === 0 ? [] : [`${total} at ${score(bin / totals.length)}`]));
  return `Local answers by score: ${parts.join(', ')}`;
}
