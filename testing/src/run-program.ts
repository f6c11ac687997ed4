import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ProgramOptions {
  readonly cwd?: string;
  /** The whole of it; by default that of the tests. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program to its end, which must be a good one; what it wrote to standard output. */
export async function outputOf(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code]: unknown[] = await once(child, 'close');
  assert.equal(code, 0, output + errors);
  return output;
}
