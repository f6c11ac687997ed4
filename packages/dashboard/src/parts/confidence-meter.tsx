import { score as formatScore } from '../format.ts';

/** A score on its scale, with a mark at the threshold. */
export function ConfidenceMeter({ score, threshold }: { score: number | null; threshold: number }) {
  if (score === null) return <span class="meter none">no score</span>;
  const passed = score >= threshold;
  return (
    <span class={`meter ${passed ? 'passed' : 'below'}`}>
      <span class="meter-bar" aria-hidden="true">
        <span class="meter-fill" style={{ width: `${score * 100}%` }} />
        <span class="meter-mark" style={{ left: `${threshold * 100}%` }} />
      </span>
      <span class="number">{formatScore(score)}</span>
      <span class="unseen">
        {passed ? ' reached' : ' below'} the threshold of {formatScore(threshold)}
      </span>
    </span>
  );
}
