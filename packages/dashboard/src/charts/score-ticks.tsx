import { score } from '../format.ts';

/** The numbers under an axis of scores, 0..1 from its left end to its right one. */
export function ScoreTicks() {
  return (
    <div class="ticks number">
      {[0, 0.25, 0.5, 0.75, 1].map((at) => (
        <span key={at} style={{ left: `${at * 100}%` }}>
          {score(at)}
        </span>
      ))}
    </div>
  );
}
