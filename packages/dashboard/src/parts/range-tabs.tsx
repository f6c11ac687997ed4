import type { TrendRange } from '@lfo/router/src/records/history.ts';
import { place } from '../navigation.ts';
import { Link } from './link.tsx';

const names: Readonly<Record<TrendRange, string>> = {
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '24 hours',
  '7d': '7 days',
  '30d': '30 days',
};
const ranges: readonly TrendRange[] = ['1h', '6h', '24h', '7d', '30d'];

/** How far back the address says to look. */
export function chosenRange(): TrendRange {
  const asked = place.value.query.get('range');
  return ranges.find((range) => range === asked) ?? '24h';
}

/** The choice of how far to look back; each has an address of its own. */
export function RangeTabs() {
  const chosen = chosenRange();
  return (
    <nav class="segments" aria-label="Time range">
      {ranges.map((range) => (
        <Link
          key={range}
          to={`${place.value.path}?range=${range}`}
          aria-current={range === chosen ? 'true' : undefined}
        >
          <span class="wide">{names[range]}</span>
          <span class="narrow" aria-hidden="true">
            {range}
          </span>
        </Link>
      ))}
    </nav>
  );
}
