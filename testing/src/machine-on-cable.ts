import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';

import { namespaceProblem } from './network-namespace.ts';

/** A machine of its own on a cable to this one; without rights for that, this one. */
export interface MachineOnCable {
  /** This machine, as it is seen from there. */
  readonly routerHost: string;
  /** Becomes the command that runs there. */
  readonly under: readonly string[];
  /** Pulls the cable: nobody is told, and nothing passes. Absent where there is none. */
  readonly pull?: () => void;
  readonly plug?: () => void;
}

/** Makes one, gone with its test; `index` tells those of one test apart. */
export function machineOnCable(t: TestContext, index: number): MachineOnCable {
  if (namespaceProblem() !== undefined) return { routerHost: '127.0.0.1', under: [] };
  const name = `lfo-dev${index}-${process.pid}`;
  const here = `lfo${index}-${process.pid}`;
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args, { stdio: 'ignore' });
  ip('netns', 'add', name);
  t.after(() => ip('netns', 'del', name));
  ip('link', 'add', here, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('addr', 'add', `10.77.${index}.1/24`, 'dev', here);
  ip('link', 'set', here, 'up');
  ip('-n', name, 'addr', 'add', `10.77.${index}.2/24`, 'dev', 'eth0');
  ip('-n', name, 'link', 'set', 'eth0', 'up');
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return {
    routerHost: `10.77.${index}.1`,
    under: ['ip', 'netns', 'exec', name],
    // At the far end: here the address and its route stay, as with a switch between the two.
    pull: () => ip('-n', name, 'link', 'set', 'eth0', 'down'),
    plug: () => ip('-n', name, 'link', 'set', 'eth0', 'up'),
  };
}
