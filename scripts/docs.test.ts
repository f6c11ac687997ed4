import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { anchorsOf, linksOf } from './doc-links.ts';
import { generated } from './generated-docs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => ['node_modules', 'dist', 'fixtures'].includes(path),
});

for (const [file, render] of generated) {
  test(`${file} is current; node scripts/docs.ts writes it`, () => {
    assert.equal(readFileSync(join(root, file), 'utf8'), render());
  });
}

test('every link of every page leads somewhere: a file that is there, a heading that it has', () => {
  assert.ok(pages.length > 30);
  const dead = pages.flatMap((page) => deadLinks(page, readFileSync(join(root, page), 'utf8')));
  assert.deepEqual(dead, []);
});

test('a link to nothing and one to no heading are found', () => {
  assert.equal(deadLinks('README.md', '[a](docs/nothing.md)').length, 1);
  assert.equal(deadLinks('README.md', '[a](docs/keys.md#no-such-heading)').length, 1);
  assert.deepEqual(deadLinks('README.md', '[a](docs/keys.md#limits), `[b](nowhere)`\n```\n[c](nowhere)\n```'), []);
});

test('every page of docs/ can be reached from the README', () => {
  const seen = new Set<string>();
  const look = (page: string): void => {
    if (seen.has(page) || !page.endsWith('.md')) return;
    seen.add(page);
    for (const link of linksOf(readFileSync(join(root, page), 'utf8'))) {
      const [path = ''] = link.split('#');
      if (path !== '' && !/^\w+:/.test(path)) look(normalize(join(dirname(page), path)));
    }
  };
  look('README.md');
  const lost = pages.filter(
    (page) => page.startsWith('docs/') && !page.startsWith('docs/decisions/') && !seen.has(page),
  );
  assert.deepEqual(lost, []);
});

test('no page tells anybody to run a stranger’s package', () => {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [line] of text.matchAll(/.*\bnpx lfo\b.*/g))
      assert.match(line, /never|stranger|bare/i, `${page}: ${line}`);
  }
});

/** Links to other hosts are not asked for: nothing here depends on a network. */
function deadLinks(page: string, text: string): readonly string[] {
  return linksOf(text).flatMap((link) => {
    if (/^(https?|mailto):/.test(link)) return [];
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(root, target))) return [`${page}: ${link}`];
    if (anchor === undefined || !target.endsWith('.md')) return [];
    const source = target === page ? text : readFileSync(join(root, target), 'utf8');
    return anchorsOf(source).has(anchor) ? [] : [`${page}: ${link} (no such heading)`];
  });
}
