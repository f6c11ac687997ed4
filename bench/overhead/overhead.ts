/**
 * What the router costs: the same requests through nginx, through a bare `node:http` and undici proxy, and through LFO, in
 * turns within one run, each cell of `cells.ts`. `node bench/overhead/overhead.ts [--rounds 3] [--warm 1500] [--quick]
 * [--cells unary,live] [--json]`
 *
 * CPU is that of a system's whole process tree. Medians of the ratios within a round; the smallest in brackets. `--quick`
 * takes about a minute and says of each target whether it is met.
 */
import { parseArgs } from 'node:util';
import { median, table } from '../figures.ts';
import { cells as chatCells } from './cells.ts';
import { dialectCells, dialectCellsOf, dialectTargets } from './dialect-cells.ts';
import type { Sample } from './load.ts';
import { residentMbOf } from './process-tree.ts';
import { machineLine, measureInTurns, type Results, rowsOf } from './rounds.ts';
import { Stage, type System } from './systems.ts';
import { judged } from './targets.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    /** Requests of each cell before the first round; a third of the first 2,000 is V8 compiling. */
    warm: { type: 'string', default: '1500' },
    quick: { type: 'boolean', default: false },
    cells: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    /** Of another build of LFO: measured beside this one as \`before\`. */
    before: { type: 'string' },
  },
});
const cells = [...chatCells, ...dialectCells];
const share = options.quick ? 0.3 : 1;
const rounds = Number(options.rounds);
const wanted = options.cells.split(',').filter((part) => part !== '');
const isWanted = (name: string): boolean =>
  wanted.some((part) => (part.startsWith('=') ? name === part.slice(1) : name.includes(part)));
const chosen = cells.filter(({ name }) => wanted.length === 0 || isWanted(name));

const stage = new Stage();
try {
  const upstream = await stage.upstream();
  const nginx = await stage.nginx(upstream);
  if (nginx === undefined) console.log('nginx is not installed (Debian: nginx-light): it is left out.\n');
  const dispatch = await stage.dispatch(upstream);
  const { startCpuMs, ...lfo } = await stage.lfo(upstream);
  const before =
    options.before === undefined ? [] : [{ ...(await stage.lfo(upstream, options.before)), name: 'before' }];
  const bare = options.quick ? [] : [await stage.bare(upstream)];
  const systems: readonly System[] = [...(nginx === undefined ? [] : [nginx]), dispatch, ...bare, ...before, lfo];
  const idleMb = residentMbOf(lfo.pid);

  const results = await measureInTurns(systems, chosen, { rounds, warm: Number(options.warm), share });
  const afterMb = residentMbOf(lfo.pid);
  report(systems, results, { startCpuMs, idleMb, afterMb });
} finally {
  await stage.end();
}

function report(
  systems: readonly System[],
  results: Results,
  process: { readonly startCpuMs: number; readonly idleMb: number; readonly afterMb: number },
): void {
  const rows = rowsOf(systems, chosen, results);
  const targets = judged(
    (cell, name, to) => {
      const found = chosen.find((one) => one.name === cell);
      return found === undefined ? undefined : median(results.ratios(found, name, to));
    },
    { ...process, gated: overCell(results, 'gated stream', 'burst of 64 chunks') },
  );
  const machine = machineLine(rounds, Number(options.warm) * share);
  if (options.json) {
    console.log(JSON.stringify({ machine, process, rows, targets }));
    return;
  }
  console.log(`${machine}\n`);
  table(rows);
  console.log('');
  table(targets);
  const dialects = dialectRows(results);
  if (dialects.length > 0) {
    console.log('');
    table(dialects);
  }
}

/** CPU of one cell over another's through LFO, round by round; not a number where one was not measured. */
function overCell(results: Results, one: string, other: string): number {
  const [own = [], others = []] = [one, other].map((name): readonly Sample[] => {
    const cell = chosen.find((each) => each.name === name);
    return cell === undefined ? [] : results.samples(cell, 'lfo');
  });
  return median(own.map(({ cpuUs }, round) => cpuUs / (others[round]?.cpuUs ?? Number.NaN)));
}

/** What each wire costs over chat: over its slower way, which is judged, and over its fast one. */
function dialectRows(results: Results): readonly Readonly<Record<string, string>>[] {
  return dialectTargets.flatMap(([size, most, fast]) =>
    dialectCellsOf(size)
      .filter((name) => chosen.some((cell) => cell.name === name && results.samples(cell, 'lfo').length > 0))
      .map((name) => {
        const found = overCell(results, name, `schema ${size}`);
        return {
          wire: name,
          '× chat by its schema': found.toFixed(2),
          'at most': String(most),
          '': found <= most ? 'pass' : 'MISS',
          '× chat’s fast path': overCell(results, name, fast).toFixed(2),
        };
      }),
  );
}
