import { readdirSync, readFileSync } from 'node:fs';

/** A process as Linux shows it. */
export interface GroupMember {
  readonly pid: number;
  readonly command: string;
  /** User and system time since it started, to 10 ms. */
  readonly cpuMs: number;
}

const tickMs = 10;

/** The processes of a group, by `/proc`; none on systems without it. */
export function processGroup(id: number): GroupMember[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The name in parentheses may hold spaces; state, parent and group follow it.
        const fields = readFileSync(`/proc/${name}/stat`, 'latin1')
          .replace(/^.*\) /s, '')
          .split(' ');
        if (Number(fields[2]) !== id) return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), command, cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs }];
      } catch {
        return []; // it has just ended
      }
    });
}

/** What a process has started, by proc(5); nothing of one that has ended. */
export function childrenOf(pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The model's process of a running product. */
export function modelProcess(group: number): GroupMember | undefined {
  return processGroup(group).find(({ command }) => command.includes('lfo-device-host.js child'));
}
