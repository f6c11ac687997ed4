import { basename } from 'node:path';

import { allowedSkips } from './allowed-skips.ts';
import type { TestFinding } from './test-record.ts';

/** What a run must not hide, a sentence each: skips that are not on the list, what is still to do, files without a test. */
export function hiddenBy(findings: readonly TestFinding[]): readonly string[] {
  return findings.flatMap((finding) => {
    const file = basename(finding.file);
    switch (finding.kind) {
      case 'skipped':
        if (allowedSkips.some(({ reason }) => reason === finding.why)) return [];
        return [`${file}: "${finding.test}" was skipped (${finding.why || 'without a reason'}).`];
      case 'todo':
        return [`${file}: "${finding.test}" is still to do.`];
      case 'empty':
        return [`${file} has no test.`];
      case 'failed':
      case 'ran':
        return [];
      default:
        return finding satisfies never;
    }
  });
}

/** Sentences about `only` in the source of a test file, which leaves its neighbours out. */
export function onlyIn(file: string, source: string): readonly string[] {
  const found = /\b(?:test|it|suite|describe)\.only\(|\bonly: true\b/.exec(source);
  return found === null ? [] : [`${file} has "${found[0]}", which leaves other tests out.`];
}

/**
 * Whether a test file has to have a process of its own: it says so in a comment, has hooks at its top, which in a shared
 * process would be those of every file, or replaces the timers of the whole process.
 */
export function needsOwnProcess(source: string): boolean {
  return /^(?:before|after)(?:Each)?\(|^\/\/ A process of its own: |\bmock\.timers\b/m.test(source);
}
