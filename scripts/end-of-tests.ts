/**
 * Loaded before every test file (`node --import`): a file whose tests are over ends. Without it a hook that fails leaves
 * behind what it should have closed, a server process for one, and the run waits until somebody ends it all.
 *
 * Where files share a process it also fails for one that threw after its first test: Node tells nobody.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

/** Beyond what hooks need to close a browser or a database. */
const graceMs = Number(process.env['LFO_TESTS_GRACE_MS'] ?? 60_000);

// Neither the process that hands out the files, nor the threads and children of a test: they inherit its flags.
if (isMainThread && process.argv[1]?.endsWith('.test.ts') === true) {
  const { after } = await import('node:test');
  const files = process.argv.slice(1);
  after(async () => {
    setTimeout(() => {
      const held = process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout');
      process.stderr.write(`Its tests ended ${graceMs / 1000} s ago, and the process is held by: ${held.join(', ')}\n`);
      process.exit(1);
    }, graceMs).unref();
    // Loaded already: what a file threw then is thrown again.
    if (files.length > 1) for (const file of files) await import(pathToFileURL(resolve(file)).href);
  });
}
