import { spawnSync } from 'node:child_process';

/** Why Prometheus' own judge cannot be asked, or `false`: for the `skip` option of a test. */
export const withoutPromtool: string | false =
  spawnSync('promtool', ['--version']).error === undefined ? false : 'needs promtool, of the package prometheus';

/** Its whole output where it finds a fault, else `undefined`. */
export function promtoolFaults(args: readonly string[], input = ''): string | undefined {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return status === 0 ? undefined : `${stdout}${stderr}`;
}
