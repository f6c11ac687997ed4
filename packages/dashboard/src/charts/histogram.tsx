import type { ConfidenceReport, JudgedOutcome } from '@lfo/router/src/records/history.ts';
import { count, score } from '../format.ts';
import { ScoreTicks } from './score-ticks.tsx';

const outcomes: readonly { readonly key: JudgedOutcome; readonly name: string; readonly tone: string }[] = [
  { key: 'kept', name: 'kept local', tone: 'local' },
  { key: 'escalated', name: 'escalated for its score', tone: 'cloud' },
  { key: 'refused', name: 'escalated for its form', tone: 'warn' },
  { key: 'degraded', name: 'given though it did not pass', tone: 'failed' },
];

/** The rest of the height is for the name of the threshold. */
const plotShare = 88;

/** How many local answers had which score, by what became of them, with a line at the threshold. */
export function Histogram({ histogram, threshold }: Pick<ConfidenceReport, 'histogram' | 'threshold'>) {
  const totals = histogram.kept.map((_, bin) => outcomes.reduce((sum, { key }) => sum + (histogram[key][bin] ?? 0), 0));
  const top = roundedUp(Math.max(...totals));
  const present = outcomes.filter(({ key }) => histogram[key].some((value) => value > 0));
  return (
    <>
      <div class="histogram" role="img" aria-label={labelOf(totals)}>
        <div class="columns">
          {[0, 0.5, 1].map((at) => (
            <span key={at} class="grid-line number" style={{ bottom: `${at * plotShare}%` }}>
              <span>{count(at * top)}</span>
            </span>
          ))}
          {totals.map((total, bin) => (
            <div key={bin} class="column" title={`${count(total)} from ${score(bin / totals.length)}`}>
              {outcomes.map(({ key, tone }) => (
                <span
                  key={key}
                  class={`c-${tone}`}
                  style={{ height: `${((histogram[key][bin] ?? 0) / top) * 100}%` }}
                />
              ))}
            </div>
          ))}
          {threshold !== null && (
            <div class={`threshold ${threshold > 0.6 ? 'to-left' : ''}`} style={{ left: `${threshold * 100}%` }}>
              <span>threshold {score(threshold)}</span>
            </div>
          )}
        </div>
        <ScoreTicks />
      </div>
      <ul class="legend">
        {present.map(({ key, name, tone }) => (
          <li key={key}>
            <span class={`swatch c-${tone}`} aria-hidden="true" />
            {name} <span class="number strong">{count(histogram[key].reduce((sum, value) => sum + value, 0))}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Next of 2, 4, 10, 20, 40, 100 …, so that half of it is whole. */
function roundedUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 4, 10].map((factor) => factor * power).find((top) => top >= value && top > 1) ?? 2;
}

function labelOf(totals: readonly number[]): string {
  const parts = totals.flatMap((total, bin) => (total === 0 ? [] : [`${total} from ${score(bin / totals.length)}`]));
  return `Local answers by score: ${parts.join(', ')}`;
}
