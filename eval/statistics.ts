/** One judged answer: higher scores should go with right ones. */
export interface Scored {
  readonly score: number;
  readonly isRight: boolean;
}

/** Area under the ROC curve: chance that a right answer scores above a wrong one, ties half. NaN without both kinds. */
export function auroc(rows: readonly Scored[]): number {
  const right = rows.filter((row) => row.isRight);
  const wrong = rows.filter((row) => !row.isRight);
  let wins = 0;
  for (const one of right)
    for (const other of wrong) wins += Number(one.score > other.score) + Number(one.score === other.score) / 2;
  return wins / (right.length * wrong.length);
}

/** The same scores with labels dealt at random, averaged over `rounds`: must come out near .5. Deterministic. */
export function shuffledAuroc(rows: readonly Scored[], rounds = 20): number {
  const random = mulberry32(1);
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    const labels = rows.map((row) => ({ key: random(), isRight: row.isRight })).toSorted((a, b) => a.key - b.key);
    sum += auroc(rows.map((row, index) => ({ score: row.score, isRight: labels[index]?.isRight ?? false })));
  }
  return sum / rounds;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** A row of a Markdown table; numbers with two decimals, `–` where undefined. */
export function tableRow(cells: readonly (string | number)[]): string {
  const shown = cells.map((cell) => {
    if (typeof cell === 'string') return cell;
    if (!Number.isFinite(cell)) return '–';
    return Number.isInteger(cell) && Math.abs(cell) > 1 ? String(cell) : cell.toFixed(2).replace(/^0\./, '.');
  });
  return `| ${shown.join(' | ')} |`;
}

/** Small seeded generator (public domain, Tommy Ettinger). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
