import type { TestEvent } from 'node:test/reporters';

/** A reporter for `node --test`: the files in which something failed, one a line, at the end. */
export default async function* failedFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Set<string>();
  for await (const event of events) {
    if (event.type === 'test:fail' && event.data.file !== undefined) files.add(event.data.file);
  }
  for (const file of files) yield `${file}\n`;
}
