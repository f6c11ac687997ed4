/**
 * LFO beside other gateways, in turns within one run: `node bench/peers/peers.ts [--folder FOLDER] [--rounds 3] [--warm
 * 1500] [--cells unary,live] [--quick]`.
 *
 * The others are installed by exact version from npm and PyPI into a folder of their own, outside this repository, where
 * a later run finds them again; one that cannot be installed or does not start is left out by name. Every answer and
 * every chunk is checked as in `bench/overhead`.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../figures.ts';
import { cells } from '../overhead/cells.ts';
import { residentMbOf } from '../overhead/process-tree.ts';
import { machineLine, measureInTurns, rowsOf } from '../overhead/rounds.ts';
import { Stage, type System } from '../overhead/systems.ts';
import { leftOut, peers } from './gateways.ts';

const { values: options } = parseArgs({
  options: {
    folder: { type: 'string', default: join(tmpdir(), 'lfo-peers') },
    rounds: { type: 'string', default: '3' },
    warm: { type: 'string', default: '1500' },
    cells: { type: 'string', default: 'unary 1 KB,agent,burst of,live,Gemini unary' },
    quick: { type: 'boolean', default: false },
  },
});
const wanted = options.cells.split(',').filter((part) => part !== '');
const chosen = cells.filter(
  ({ name }) =>
    !name.includes('gated') && !name.includes('one at a time') && wanted.some((part) => name.includes(part)),
);
const share = options.quick ? 0.3 : 1;
const rounds = Number(options.rounds);

const stage = new Stage();
try {
  const upstream = await stage.upstream();
  const nginx = await stage.nginx(upstream);
  const dispatch = await stage.dispatch(upstream);
  const lfo = await stage.lfo(upstream);
  const others: System[] = [];
  const absent = [...leftOut];
  for (const { name, version, start } of peers) {
    try {
      others.push({ name: `${name} ${version}`, ...(await start(stage, options.folder, upstream)) });
    } catch (error) {
      absent.push(`${name} ${version}: ${error instanceof Error ? error.message.split('\n')[0] : 'it did not start'}`);
    }
  }
  const systems = [...(nginx === undefined ? [] : [nginx]), dispatch, lfo, ...others];
  const results = await measureInTurns(systems, chosen, {
    rounds,
    warm: Number(options.warm),
    share,
    onFailure(system, cell, error) {
      if (system === lfo) throw error;
      absent.push(`${system.name} in "${cell.name}": ${String(error).slice(0, 200)}`);
    },
  });
  console.log(`${machineLine(rounds, Number(options.warm) * share)}\n`);
  table(rowsOf(systems, chosen, results));
  console.log('');
  table(
    systems.map(({ name, pid }) => ({ system: name, 'memory after the cells, MB': Math.round(residentMbOf(pid)) })),
  );
  for (const reason of absent) console.log(`\nLeft out: ${reason}.`);
} finally {
  await stage.end();
}
