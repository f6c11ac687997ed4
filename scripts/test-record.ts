import type { TestEvent } from 'node:test/reporters';

/** One line of what a run has to be judged by. */
export type TestFinding =
  | { readonly kind: 'failed' | 'skipped' | 'todo'; readonly file: string; readonly test: string; readonly why: string }
  /** A file that declares no test at all: nothing in it can fail. */
  | { readonly kind: 'empty'; readonly file: string }
  | { readonly kind: 'ran'; readonly file: string; readonly tests: number; readonly tookMs: number };

/** A reporter for `node --test`: findings as they come, one JSON object a line. */
export default async function* testRecord(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const finding = findingOf(event);
    if (finding !== undefined) yield `${JSON.stringify(finding)}\n`;
  }
}

function findingOf({ type, data }: TestEvent): TestFinding | undefined {
  if (type === 'test:summary') {
    if (data.file === undefined) return undefined;
    return { kind: 'ran', file: data.file, tests: data.counts.tests, tookMs: Math.round(data.duration_ms) };
  }
  if (type !== 'test:pass' && type !== 'test:fail') return undefined;
  // `file` is where it is written: for the hook of a helper, the helper. The types do not know `entryFile` yet.
  const file = 'entryFile' in data && typeof data.entryFile === 'string' ? data.entryFile : (data.file ?? data.name);
  const is = (kind: 'failed' | 'skipped' | 'todo', why: unknown): TestFinding => ({
    kind,
    file,
    test: data.name,
    why: typeof why === 'string' ? why : '',
  });
  if (data.todo !== undefined && data.todo !== false) return is('todo', data.todo);
  if (data.skip !== undefined && data.skip !== false) return is('skipped', data.skip);
  if (type === 'test:fail') return is('failed', '');
  // A file without tests is one itself, by the path the runner was given.
  return data.file?.endsWith(data.name) === true ? { kind: 'empty', file } : undefined;
}
