import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shippedEstimator } from '@lfo/router/src/app/estimator.ts';
import { referenceDataUrl, withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { readCases } from './cases.ts';
import { gateTrace } from './evaluate.ts';
import { readTraces } from './trace-file.ts';

const skip = withoutReferenceData;

test('early exit accepts exactly the answers that judging them whole accepts, over every trace', { skip }, () => {
  const data = referenceDataUrl();
  assert.ok(data !== undefined);
  const cases = readCases(new URL('bfcl/', data));
  const estimator = shippedEstimator();
  const traces = readTraces(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data));
  let escalated = 0;
  let unread = 0;
  let whole = 0;
  for (const threshold of [0.3, 0.7, 0.9]) {
    for (const trace of traces) {
      const one = cases.get(trace.id);
      if (one === undefined) continue;
      const { score, route, heldTokens, tokens } = gateTrace(trace, one.request, estimator, threshold);
      assert.equal(route, (score ?? 1) >= threshold ? 'local' : 'cloud', `${trace.id} at ${threshold}`);
      if (route === 'local' || threshold !== 0.7) continue;
      escalated += 1;
      unread += tokens - heldTokens;
      whole += tokens;
    }
  }
  assert.ok(escalated > 100, String(escalated));
  // What the model need not write any more once its answer is condemned.
  assert.ok(unread / whole > 0.05, `${unread} of ${whole} tokens saved`);
  console.log(`${escalated} escalated at .7: ${Math.round((100 * unread) / whole)} % of their tokens saved`);
});
