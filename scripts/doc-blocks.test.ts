import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, commandsOf } from './doc-blocks.ts';

test('blocks are found with their language and line', () => {
  assert.deepEqual(blocksOf('p.md', 'a\n```js\nx();\n```\n\n```\ny\n```\n'), [
    { page: 'p.md', line: 2, language: 'js', text: 'x();\n' },
    { page: 'p.md', line: 6, language: '', text: 'y\n' },
  ]);
});

test('commands are split as a shell would, as far as documents need it', () => {
  assert.deepEqual(
    commandsOf('A=1 lfo chat "What is 2+2?"   # a question\nnpm ci && npm start > out.txt\nlfo a \\\n  --b | head'),
    [['lfo', 'chat', 'What is 2+2?'], ['npm', 'ci'], ['npm', 'start'], ['lfo', 'a', '--b'], ['head']],
  );
});
