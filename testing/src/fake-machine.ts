import type { Machine } from '@lfo/device-host/src/models/machine.ts';
import { systemClock } from '@lfo/device-host/src/clock.ts';

/** A machine with room, one living process (pid 1) and no Python; times are short enough to wait for. */
export function fakeMachine(overrides: Partial<Machine> = {}): Machine {
  return {
    clock: systemClock,
    python: 'no-python-here',
    environment: {},
    hostname: 'here',
    pid: 1,
    isAlive: (pid) => pid === 1,
    freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER),
    hubAnswerMs: 5000,
    stallMs: 5000,
    staleLockMs: 15_000,
    ...overrides,
  };
}
