import type { ComponentChildren } from 'preact';
import { percent } from '../format.ts';
import { ScoreTicks } from './score-ticks.tsx';

interface GraphProps {
  /** What it shows, for screen readers. */
  readonly label: string;
  readonly xName: string;
  readonly yName: string;
  /** Drawn in a square of 100 × 100 that is stretched to fit, its origin at the top left. */
  readonly lines: ComponentChildren;
  /** Laid over the lines, placed in percent. */
  readonly children?: ComponentChildren;
}

/** Shares against scores, both 0..1, with text that keeps its size on every screen. */
export function Graph({ label, xName, yName, lines, children }: GraphProps) {
  return (
    <div class="graph" role="img" aria-label={label}>
      <p class="axis-name">{yName}</p>
      <div class="graph-area">
        {[0, 0.5, 1].map((at) => (
          <span key={at} class="grid-line number" style={{ bottom: `${at * 100}%` }}>
            <span>{percent(at)}</span>
          </span>
        ))}
        <svg viewBox="0 0 100 100" preserveAspectRatio="none">
          {lines}
        </svg>
        {children}
      </div>
      <ScoreTicks />
      <p class="axis-name end">{xName}</p>
    </div>
  );
}

/** Points of a line through shares at scores. */
export function pointsOf(points: readonly { readonly x: number; readonly y: number }[]): string {
  return points.map(({ x, y }) => `${x * 100},${100 - y * 100}`).join(' ');
}
