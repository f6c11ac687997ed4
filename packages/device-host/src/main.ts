import { childMain } from './child-main.ts';

/** The `lfo-device-host` command line. */
export async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === 'child') return childMain(rest[0]);
  process.stderr.write('usage: lfo-device-host child <options as JSON>\n');
  process.exitCode = 2;
}
