import type { TestEvent } from 'node:test/reporters';

/** One line of what a run has to be judged by. */
export type TestFinding =
  | { readonly kind: 'failed' | 'skipped' | 'todo'; readonly file: string; readonly test: string; readonly why: string }
  /** A file that declares no test at all: nothing in it can fail. */
  | { readonly kind: 'empty'; readonly file: string }
  | { readonly kind: 'ran'; readonly file: string; readonly tests: number; readonly tookMs: number };

type EventOf<Type extends TestEvent['type']> = Extract<TestEvent, { readonly type: Type }>;
type Result = EventOf<'test:pass' | 'test:fail'>;

/** A reporter for `node --test`: findings as they come, one JSON object a line. */
export default async function* testRecord(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const reader = new FindingReader();
  for await (const event of events) for (const finding of reader.read(event)) yield `${JSON.stringify(finding)}\n`;
}

/** Reads the findings out of what the runner of Node reports. */
export class FindingReader {
  /** Of a file that has its own process the runner says how long it took; of others their tests are summed. */
  readonly #shared = new Map<string, { tests: number; tookMs: number }>();
  readonly #apart = new Set<string>();

  read(event: TestEvent): readonly TestFinding[] {
    if (event.type === 'test:summary') return this.#ran(event);
    if (event.type !== 'test:pass' && event.type !== 'test:fail') return [];
    const finding = findingOf(event);
    if (finding?.kind !== 'empty') this.#sum(event);
    return finding === undefined ? [] : [finding];
  }

  #sum({ data }: Result): void {
    const file = fileOf(data);
    const sum = this.#shared.get(file) ?? { tests: 0, tookMs: 0 };
    if (data.details.type !== 'suite') sum.tests++;
    if (data.nesting === 0) sum.tookMs += Math.round(data.details.duration_ms);
    this.#shared.set(file, sum);
  }

  #ran({ data: { file, counts, duration_ms: tookMs } }: EventOf<'test:summary'>): readonly TestFinding[] {
    if (file === undefined) {
      const shared = [...this.#shared].filter(([each]) => !this.#apart.has(each));
      return shared.map(([each, sum]) => ({ kind: 'ran', file: each, ...sum }));
    }
    this.#apart.add(file);
    return [{ kind: 'ran', file, tests: counts.tests, tookMs: Math.round(tookMs) }];
  }
}

/** Where a test is written: for the hook of a helper, the helper. The types do not know `entryFile` yet. */
function fileOf(data: Result['data']): string {
  return 'entryFile' in data && typeof data.entryFile === 'string' ? data.entryFile : (data.file ?? data.name);
}

function findingOf({ type, data }: Result): TestFinding | undefined {
  const file = fileOf(data);
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
