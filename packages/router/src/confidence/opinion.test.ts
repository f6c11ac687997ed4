import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyOf, leastScoreToAsk, withOpinion } from './opinion.ts';

test('agreement lifts a score and disagreement lowers it, within 0 and 1, in the order of the scores', () => {
  for (const score of [0, 0.1, 0.5, 0.9, 1]) {
    const [lower, higher] = [withOpinion(score, false), withOpinion(score, true)];
    assert.ok(lower >= 0 && lower <= score + 1e-5 && higher >= score - 1e-5 && higher <= 1);
  }
  assert.ok(withOpinion(0.6, true) > withOpinion(0.5, true));
});

test('whoever scores at least the least is lifted to the threshold by an agreement, and nobody else is', () => {
  for (const threshold of [0.3, 0.7, 0.95]) {
    const least = leastScoreToAsk(threshold);
    assert.ok(withOpinion(least + 1e-9, true) >= threshold);
    assert.ok(withOpinion(least - 0.01, true) < threshold);
  }
});

test('families are told by the name alone', () => {
  assert.equal(familyOf('Qwen/Qwen2.5-Coder-0.5B'), familyOf('qwen2.5-1.5b-instruct'));
  assert.notEqual(familyOf('llama-3.2-1b'), familyOf('gemma3-270m'));
  assert.equal(familyOf('7b'), '7b');
});
