import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Why no packets of our own can be sent here, or `false`: for the `skip` option of a test. */
export const withoutTun: string | false =
  process.getuid?.() === 0 && existsSync('/dev/net/tun') ? false : 'needs root on Linux with /dev/net/tun, and python3';

/** A connection whose handshake waits for its last packet. */
export interface HalfOpen {
  /** Sends that packet, with a request; resolves with what came of it. */
  finish(): Promise<string>;
}

/** Opens one to a port at which this machine listens on every address. */
export async function halfOpen(t: TestContext, port: number): Promise<HalfOpen> {
  const third = process.pid % 250;
  const script = fileURLToPath(new URL('half-open.py', import.meta.url));
  const words = [script, `lfoh${process.pid}`, `10.79.${third}.1`, `10.79.${third}.2`, String(port)];
  const child = spawn('python3', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout });
  const next = async (): Promise<string> => String((await once(lines, 'line'))[0]);
  if ((await next()) !== 'half') throw new Error('The server has not answered.');
  return {
    finish() {
      child.stdin.write('\n');
      return next();
    },
  };
}
