import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSettings } from './edit.ts';

test('a line of a value over several lines is no table and no setting', () => {
  const old = `notify = [
  ["sh", "-c"], # [a]
  [
    "model = ]",
    'x',
  ],
]
prompt = """
[not a table]
model = "said" \\"""
"""
model = '''
mine
'''
approval_policy = "never"

[model_providers.lfo]
headers = [
[1, 2],
]
name = "old"

[[rules]]
allow = ["[", "#"]
`;
  const changed = withSettings(old, { '': { model: 'auto' }, 'model_providers.lfo': { name: 'LFO' } });
  assert.equal(
    changed,
    `model = "auto"
notify = [
  ["sh", "-c"], # [a]
  [
    "model = ]",
    'x',
  ],
]
prompt = """
[not a table]
model = "said" \\"""
"""
approval_policy = "never"

[model_providers.lfo]
name = "LFO"
headers = [
[1, 2],
]

[[rules]]
allow = ["[", "#"]
`,
  );
  assert.equal(withSettings(changed, { '': { model: 'auto' }, 'model_providers.lfo': { name: 'LFO' } }), changed);
});

test('a file that is empty or has no end of line is as good as one that has', () => {
  assert.equal(withSettings('', { '': { model: 'a' }, b: { c: 1 } }), 'model = "a"\n\n[b]\nc = 1\n');
  assert.equal(withSettings('x = 1', { '': { y: 2 } }), 'y = 2\nx = 1\n');
});
