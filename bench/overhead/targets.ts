/** What a request may cost at most, over nginx and over the bare proxy, in CPU time. */
const cpuTargets = [
  ['unary 1 KB', 8, 1.8],
  ['agent 40 KB', 9.5, 2.5],
  ['burst of 64 chunks', 3.8, 1.8],
  ['live streams', 1.8, 1.35],
  ['Gemini unary 1 KB', 12, 2.5],
] as const;

export interface Measured {
  /** CPU of the gated stream over the ungated one; not a number where one was not measured. */
  readonly gated: number;
  readonly startCpuMs: number;
  readonly idleMb: number;
  readonly afterMb: number;
}

/** Each target with what was found; `ratio` answers `undefined` for what was not measured. */
export function judged(
  ratio: (cell: string, name: string, to: string) => number | undefined,
  { gated, startCpuMs, idleMb, afterMb }: Measured,
): readonly Readonly<Record<string, string>>[] {
  const rows: Readonly<Record<string, string>>[] = [];
  const judge = (target: string, most: number, found: number | undefined): void => {
    if (found === undefined || Number.isNaN(found)) return;
    rows.push({ target, 'at most': String(most), found: found.toFixed(2), '': found <= most ? 'pass' : 'MISS' });
  };
  for (const [cell, toNginx, toDispatch] of cpuTargets) {
    judge(`${cell}, × nginx`, toNginx, ratio(cell, 'lfo', 'nginx'));
    judge(`${cell}, × dispatch`, toDispatch, ratio(cell, 'lfo', 'dispatch'));
  }
  judge('gated stream, × ungated', 1.5, gated);
  judge('memory idle, MB', 115, idleMb);
  judge('memory after the cells, MB', 180, afterMb);
  judge('CPU to the first answer, s', 0.9, startCpuMs / 1000);
  return rows;
}
