/**
 * What the router costs: the same requests through nginx, through a bare `node:http` and undici proxy, and through LFO, in
 * turns within one run, each cell of `cells.ts`. `node bench/overhead/overhead.ts [--rounds 3] [--warm 1500] [--quick]
 * [--cells unary,live] [--json]`
 *
 * CPU is that of a system's whole process tree. Medians of the ratios within a round; the smallest in brackets. `--quick`
 * takes about a minute and says of each target whether it is met.
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type Cell, cells as chatCells } from './cells.ts';
import { dialectCells, dialectCellsOf, dialectTargets } from './dialect-cells.ts';
import { load, type Sample } from './load.ts';
import { residentMbOf } from './process-tree.ts';
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

  const results = new Map<string, Sample[]>();
  for (const cell of chosen) {
    const warm = Math.ceil(Number(options.warm) * share * (cell.isStream ? 0.2 : 1));
    if (warm > 0)
      for (const system of speaking(systems, cell)) await load(system, cell, Math.max(cell.concurrency, warm));
  }
  for (let round = 0; round < rounds; round++) {
    for (const cell of chosen) {
      for (const system of rotated(speaking(systems, cell), round)) {
        const key = `${cell.name}|${system.name}`;
        const requests = Math.max(cell.concurrency, Math.ceil(cell.requests * share));
        results.set(key, [...(results.get(key) ?? []), await load(system, cell, requests)]);
      }
    }
  }
  const afterMb = residentMbOf(lfo.pid);
  report(systems, results, { startCpuMs, idleMb, afterMb });
} finally {
  await stage.end();
}

/** Those that a cell can be measured through. */
function speaking(systems: readonly System[], { only }: Cell): readonly System[] {
  return systems.filter(({ name }) => only === undefined || name === 'lfo' || name === 'before');
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function report(
  systems: readonly System[],
  results: ReadonlyMap<string, readonly Sample[]>,
  process: { readonly startCpuMs: number; readonly idleMb: number; readonly afterMb: number },
): void {
  const samples = (cell: Cell, name: string): readonly Sample[] => results.get(`${cell.name}|${name}`) ?? [];
  const ratios = (cell: Cell, name: string, to: string): readonly number[] =>
    samples(cell, name).flatMap((sample, round) => {
      const other = samples(cell, to)[round];
      return other === undefined ? [] : [sample.cpuUs / other.cpuUs];
    });
  const rows = chosen.flatMap((cell) =>
    speaking(systems, cell).map(({ name }) => {
      const own = samples(cell, name);
      const [toNginx, toDispatch] = [ratios(cell, name, 'nginx'), ratios(cell, name, 'dispatch')];
      return {
        cell: cell.name,
        system: name,
        'CPU µs': Math.round(median(own.map(({ cpuUs }) => cpuUs))),
        '× nginx': shown(toNginx),
        '× dispatch': shown(toDispatch),
        'per second': Math.round(median(own.map(({ perSecond }) => perSecond))),
        'p50 ms': median(own.map(({ p50Ms }) => p50Ms)).toFixed(2),
        'p99 ms': median(own.map(({ p99Ms }) => p99Ms)).toFixed(2),
        'first byte ms': median(own.map(({ firstByteMs }) => firstByteMs)).toFixed(2),
      };
    }),
  );
  const targets = judged(
    (cell, name, to) => {
      const found = chosen.find((one) => one.name === cell);
      return found === undefined ? undefined : median(ratios(found, name, to));
    },
    { ...process, gated: gatedRatio(samples) },
  );
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: globalThis.process.version,
    load: loadavg()[0]?.toFixed(2),
    rounds,
    warm: Number(options.warm) * share,
  };
  if (options.json) {
    console.log(JSON.stringify({ machine, process, rows, targets }));
    return;
  }
  console.log(
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, load ${machine.load}, ${rounds} rounds, ${machine.warm} requests before\n`,
  );
  table(rows);
  console.log('');
  table(targets);
  const dialects = dialectRows(samples);
  if (dialects.length > 0) {
    console.log('');
    table(dialects);
  }
}

/** What each wire costs over chat: over its slower way, which is judged, and over its fast one. */
function dialectRows(
  samples: (cell: Cell, name: string) => readonly Sample[],
): readonly Readonly<Record<string, string>>[] {
  const of = (name: string): readonly Sample[] => {
    const cell = chosen.find((one) => one.name === name);
    return cell === undefined ? [] : samples(cell, 'lfo');
  };
  const over = (one: string, other: string): number =>
    median(of(one).map(({ cpuUs }, round) => cpuUs / (of(other)[round]?.cpuUs ?? Number.NaN)));
  return dialectTargets.flatMap(([size, most, fast]) =>
    dialectCellsOf(size)
      .filter((name) => of(name).length > 0)
      .map((name) => {
        const found = over(name, `schema ${size}`);
        return {
          wire: name,
          '× chat by its schema': found.toFixed(2),
          'at most': String(most),
          '': found <= most ? 'pass' : 'MISS',
          '× chat’s fast path': over(name, fast).toFixed(2),
        };
      }),
  );
}

/** The gated stream's CPU over the ungated one's, through LFO. */
function gatedRatio(samples: (cell: Cell, name: string) => readonly Sample[]): number | undefined {
  const [gated, ungated] = ['gated stream', 'burst of 64 chunks'].map((name) =>
    chosen.find((cell) => cell.name === name),
  );
  if (gated === undefined || ungated === undefined) return undefined;
  const plain = samples(ungated, 'lfo');
  return median(samples(gated, 'lfo').map(({ cpuUs }, round) => cpuUs / (plain[round]?.cpuUs ?? Number.NaN)));
}

function table(rows: readonly Readonly<Record<string, string | number>>[]): void {
  const head = Object.keys(rows[0] ?? {});
  console.log(`| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${Object.values(row).join(' | ')} |`);
}

function shown(values: readonly number[]): string {
  return values.length === 0 ? '' : `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)})`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
