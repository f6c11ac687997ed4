import type { TestEvent } from 'node:test/reporters';

/** A reporter for `node --test`: the test files in which something failed, one a line, at the end. */
export default async function* failedFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Set<string>();
  for await (const event of events) {
    if (event.type !== 'test:fail') continue;
    // `file` is where it is written: for the hook of a helper, the helper. The types do not know `entryFile` yet.
    const file = 'entryFile' in event.data ? event.data.entryFile : event.data.file;
    if (typeof file === 'string') files.add(file);
  }
  for (const file of files) yield `${file}\n`;
}
