import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { ConfidenceEstimator, Verdict } from '../core/confidence.ts';
import type { InferenceEvent } from '../core/events.ts';
import { reasons } from '../core/reason.ts';
import { callAnswer, finish, judged, textAnswer, weatherTool } from './judge-fixture.ts';

/** What every estimator promises, whatever it looks at. Registers its tests when called. */
export function estimatorContract(estimator: ConfidenceEstimator): void {
  const requests = [chatRequest(), chatRequest({ tools: [weatherTool] })];

  test(`${estimator.name}: every answer gets a final verdict with a known reason and a score of 0..1, if any`, () => {
    fc.assert(
      fc.property(
        answers,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(...requests),
        (answer, threshold, request) => {
          const session = estimator.begin(judged(request, threshold));
          for (const event of answer) checkVerdict(session.observe(event));
          const last = session.end();
          checkVerdict(last);
        },
      ),
    );
  });

  test(`${estimator.name}: a verdict on a prefix never needs the rest`, () => {
    fc.assert(
      fc.property(answers, fc.nat(40), fc.constantFrom(...requests), (answer, cut, request) => {
        const session = estimator.begin(judged(request, 0.7));
        for (const event of answer.slice(0, cut)) session.observe(event);
        checkVerdict(session.end());
      }),
    );
  });

  test(`${estimator.name}: sessions are deterministic and independent`, () => {
    fc.assert(
      fc.property(answers, fc.constantFrom(...requests), (answer, request) => {
        const [one, other] = [estimator.begin(judged(request, 0.7)), estimator.begin(judged(request, 0.7))];
        for (const event of answer) assert.deepEqual(one.observe(event), other.observe(event));
        assert.deepEqual(one.end(), other.end());
        assert.deepEqual(one.end(), one.end());
      }),
    );
  });

  test(`${estimator.name}: what is recorded names the judge, survives JSON and holds no word of the answer`, () => {
    fc.assert(
      fc.property(answers, fc.constantFrom(...requests), (answer, request) => {
        const session = estimator.begin(judged(request, 0.7));
        for (const event of answer) session.observe(event);
        const evidence = session.evidence();
        assert.deepEqual(JSON.parse(JSON.stringify(evidence)), evidence);
        const { judge, calibration = '', ...seen } = evidence;
        assert.equal(judge, estimator.name);
        assert.ok(typeof calibration === 'string');
        assert.match(calibration, /^(?:[0-9a-f]{12})?$/);
        const values = Object.values(seen).flat();
        assert.ok(values.every((value) => value === null || typeof value === 'number' || typeof value === 'boolean'));
      }),
    );
  });

  test(`${estimator.name}: no evidence is no score`, () => {
    const session = estimator.begin(judged(chatRequest(), 0.7));
    session.observe({ type: 'start', model: 'm' });
    session.observe({ type: 'text-delta', text: 'Hello' });
    session.observe(finish(1));
    assert.deepEqual(session.end(), { type: 'commit', reason: 'no_evidence' });
  });

  test(`${estimator.name}: broken scores do no harm`, () => {
    for (const logprob of [Number.NaN, -Infinity, Infinity, 5]) {
      const session = estimator.begin(judged(chatRequest(), 0.7));
      for (const event of textAnswer([logprob])) checkVerdict(session.observe(event));
      checkVerdict(session.end());
    }
  });
}

const logprobs = fc.array(fc.double({ min: -8, max: 0, noNaN: true }), { maxLength: 30 });
const json = fc.constantFrom('{}', '{"city":"Paris"}', '{"city":3}', '{"city":', '[]', '');
const calls = fc.array(fc.tuple(fc.constantFrom('get_weather', 'made_up'), json), { minLength: 1, maxLength: 3 });
const answers: fc.Arbitrary<readonly InferenceEvent[]> = fc.oneof(
  logprobs.map((values) => textAnswer(values)),
  fc
    .tuple(calls, fc.option(fc.double({ min: 0, max: 20, noNaN: true }), { nil: undefined }))
    .map(([made, surprise]) => callAnswer(made, surprise)),
);

function checkVerdict(verdict: Verdict): void {
  if (verdict.type === 'hold') return;
  assert.ok(Object.hasOwn(reasons, verdict.reason));
  if (verdict.score === undefined) return;
  assert.ok(verdict.score >= 0 && verdict.score <= 1, `${verdict.score}`);
}
