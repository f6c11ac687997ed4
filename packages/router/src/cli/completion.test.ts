import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { completionScript } from './completion.ts';

function program(): Command {
  const lfo = new Command('lfo');
  const models = lfo.command('models').description("what's here");
  models.command('pull').option('--json', 'JSON').description('fetch');
  lfo.command('child', { hidden: true });
  return lfo;
}

test('bash completes commands, their own commands and options, and nothing hidden', () => {
  const script = completionScript('bash', program());
  assert.match(script, /"models"\) words="pull help --help"/);
  assert.match(script, /"models pull"\) words="--json --help"/);
  assert.match(script, /complete -F _lfo lfo/);
  assert.doesNotMatch(script, /child/);
});

test('zsh reads the same in its bash mode, fish has lines of its own with quotes escaped', () => {
  assert.match(completionScript('zsh', program()), /^#compdef lfo\n.*bashcompinit\n_lfo\(\)/);
  const fish = completionScript('fish', program());
  assert.match(fish, /-a models -d 'what\\'s here'/);
  assert.match(fish, /__fish_seen_subcommand_from models" -l json/);
});
