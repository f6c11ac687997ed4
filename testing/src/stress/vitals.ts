/**
 * Loaded into a router's process by `--import`: at SIGUSR2 it collects its garbage and writes what it still holds, in
 * bytes, into the file that `LFO_TEST_VITALS` names.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const file = process.env['LFO_TEST_VITALS'];
// The child of the router inherits what it was started with, and is not meant.
if (file !== undefined && process.argv[1]?.endsWith('lfo.js') === true) {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    if (typeof collect === 'function') collect();
    const { heapUsed, external } = process.memoryUsage();
    writeFileSync(`${file}.part`, String(heapUsed + external));
    renameSync(`${file}.part`, file);
  });
}
