// Rules say `then` in the file, and nobody awaits one.
/* oxlint-disable unicorn/no-thenable */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { lintRules } from '../config/lint-rules.ts';
import { rulesSchema } from '../config/rules-schema.ts';
import type { BackendView } from '../core/backend.ts';
import { LfoError } from '../core/errors.ts';
import type { Mode, RoutingHints } from '../core/request.ts';
import type { Decision, RequestFeatures } from '../core/routing.ts';
import { decide } from './decide.ts';
import { defaultPolicies } from './policies.ts';
import { cloudView, featuresOf, fleetOf, localView } from './routing-fixture.ts';
import { compileRules, type RuleFacts } from './rules.ts';

const phone = localView({ id: 'phone', models: ['small'] });
const fleet = [localView(), phone, cloudView(), cloudView({ id: 'other', models: ['large'] })];

/** What is decided under rules as the file spells them. */
function under(
  rules: unknown,
  hints: Partial<RoutingHints> = {},
  more: Partial<RequestFeatures> = {},
  views: readonly BackendView[] = fleet,
): Decision {
  const mode: Mode = hints.mode ?? 'auto';
  const request = chatRequest({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'About our Contract with Zürich.' }] }],
    ...more.request,
    hints: { ...hints, mode },
  });
  const features = featuresOf(mode, { ...more, request });
  return decide(features, fleetOf(...views), defaultPolicies, compileRules(rulesSchema.parse(rules)));
}

const tiers = ({ attempts }: Decision): readonly string[] =>
  attempts.map(({ tier, gated }) => (gated ? `${tier}?` : tier));
const voted = ({ rules = [] }: Decision): readonly string[] => rules.map(({ rule }) => rule);

test('a rule binds, orders or forbids a tier, and is the reason that is given', () => {
  const home = under([{ name: 'home', then: { require: 'local' } }]);
  assert.deepEqual([tiers(home), home.reasons[0], home.mode, voted(home)], [['local'], 'rule', 'local', ['home']]);
  const far = under([{ name: 'far', then: { prefer: 'cloud' } }]);
  assert.deepEqual([tiers(far), far.reasons[0], far.mode], [['cloud', 'local'], 'rule', 'auto']);
  assert.deepEqual(tiers(under([{ name: 'never', then: { forbid: 'local' } }])), ['cloud']);
});

test('a preference yields where the tier cannot be asked', () => {
  const down = fleet.map((view) => (view.tier === 'cloud' ? { ...view, status: { state: 'down' } as const } : view));
  assert.equal(tiers(under([{ name: 'far', then: { prefer: 'cloud' } }], {}, {}, down))[0], 'local');
});

test('a rule names a backend: it alone, it first, or all but it', () => {
  const only = under([{ name: 'r', then: { require: 'phone' } }]);
  assert.deepEqual(
    only.attempts.map(({ tier, backend }) => [tier, backend]),
    [['local', 'phone']],
  );
  const first = under([{ name: 'r', then: { prefer: 'phone' } }]);
  assert.deepEqual(
    first.attempts.map(({ tier, prefer }) => [tier, prefer]),
    [
      ['local', 'phone'],
      ['cloud', 'phone'],
    ],
  );
  const not = under([{ name: 'r', then: { forbid: 'other' } }]);
  assert.deepEqual(
    not.attempts.map(({ avoid }) => avoid),
    [['other'], ['other']],
  );
  const neither = ['gemini', 'other'].map((forbid) => ({ name: forbid, then: { forbid } }));
  assert.deepEqual(tiers(under(neither)), ['local']);
  for (const { reasons, votes } of [only, under(neither)]) {
    assert.ok(reasons.includes('rule'));
    assert.doesNotMatch(JSON.stringify({ reasons, votes }), /cloud_not_configured/, 'it is, but a rule leaves it out');
  }
});

test('what a rule requires against the request leaves nothing: a 400 that names the rule', () => {
  const conflict = (run: () => unknown) =>
    assert.throws(
      run,
      (error) => error instanceof LfoError && error.code === 'mode_conflict' && error.message.includes('"r"'),
    );
  conflict(() => under([{ name: 'r', then: { require: 'local' } }], { mode: 'cloud' }));
  conflict(() => under([{ name: 'r', then: { forbid: 'cloud' } }], { mode: 'cloud' }));
  conflict(() =>
    under([
      { name: 'q', then: { require: 'local' } },
      { name: 'r', then: { require: 'cloud' } },
    ]),
  );
  conflict(() => under([{ name: 'r', then: { forbid: 'embedded' } }], {}, { request: chatRequest({ model: 'qwen' }) }));
});

test('each condition must hold', () => {
  const matches = (when: object, hints: Partial<RoutingHints> = {}, more: Partial<RequestFeatures> = {}): boolean =>
    voted(under([{ name: 'r', when, then: { prefer: 'local' } }], hints, more)).length === 1;
  assert.ok(matches({}));
  assert.ok(matches({ key: 'legal*' }, { clientName: 'legal-team', clientKey: 'a1' }));
  assert.ok(!matches({ key: 'legal*' }, { clientName: 'paralegal', clientKey: 'a1' }));
  assert.ok(matches({ key: 'a1' }, { clientName: 'x', clientKey: 'a1' }));
  assert.ok(matches({ model: 'lfo-*' }) && !matches({ model: 'qwen*' }));
  assert.ok(matches({ header: { 'X-Team': 'le?al' } }, { headers: { 'x-team': 'legal' } }));
  assert.ok(!matches({ header: { 'x-team': 'legal' } }));
  assert.ok(matches({ metadata: { project: 'a*' } }, { metadata: { project: 'alpha' } }));
  assert.ok(!matches({ metadata: { project: 'a*' } }, { metadata: { project: 'beta' } }));
  assert.ok(matches({ tools: false }) && !matches({ tools: true }));
  assert.ok(matches({ tools: true }, {}, { request: chatRequest({ tools: [{ name: 'f' }] }) }));
  assert.ok(matches({ prompt_tokens: { min: 100, max: 100 } }) && !matches({ prompt_tokens: { min: 101 } }));
  assert.ok(matches({ content: '(?i)contract' }) && !matches({ content: 'contract' }));
  const at = (day: number, time: string): Partial<RequestFeatures> => {
    const [hour = 0, minute = 0] = time.split(':').map(Number);
    return { localTime: { day, minute: hour * 60 + minute } };
  };
  const office = { hours: '08:00-18:00', days: ['mon', 'tue'] };
  assert.ok(matches(office, {}, at(1, '08:00')) && matches(office, {}, at(2, '17:59')));
  assert.ok(!matches(office, {}, at(1, '18:00')) && !matches(office, {}, at(0, '09:00')));
  assert.ok(
    matches({ hours: '22:00-06:00' }, {}, at(3, '03:00')) && !matches({ hours: '22:00-06:00' }, {}, at(3, '12:00')),
  );
  assert.ok(!matches({ model: 'lfo-*', tools: true }));
});

test('of a request whose facts are not all known a rule says no, or nothing', () => {
  const [rule] = compileRules(
    rulesSchema.parse([{ name: 'r', when: { model: 'a*', content: 'x' }, then: { prefer: 'local' } }]),
  );
  const facts: RuleFacts = {
    keys: undefined,
    model: 'abc',
    headers: undefined,
    metadata: undefined,
    usesTools: undefined,
    promptTokens: undefined,
    texts: () => undefined,
    localTime: undefined,
  };
  assert.equal(rule?.matches(facts), undefined);
  assert.equal(rule?.matches({ ...facts, model: 'b' }), false);
});

test('a lane is no vote about where', () => {
  const { attempts, lane, reasons } = under([{ name: 'r', then: { lane: 'background' } }]);
  assert.deepEqual(
    [attempts.map(({ tier }) => tier), lane, reasons[0]],
    [['local', 'cloud'], 'background', 'local_first'],
  );
});

test('the linter names rules that never match, contradict or know no such backend', () => {
  const found = (rules: unknown, hasDevices = false): readonly string[] => {
    const says: string[] = [];
    lintRules(
      rulesSchema.parse(rules),
      { backends: ['gemini'], hasDevices },
      {
        problem: (path, message) => says.push(`${path.join('.')}: ${message}`),
        warning: (message) => says.push(message),
      },
    );
    return says;
  };
  const then = { require: 'local' };
  assert.deepEqual(
    found([
      { name: 'a', then },
      { name: 'b', then: { prefer: 'gemini' } },
    ]),
    [],
  );
  assert.match(
    found([
      { name: 'a', then },
      { name: 'a', when: { model: 'x' }, then },
    ])[0] ?? '',
    /rules\.1\.name.*taken/,
  );
  assert.match(found([{ name: 'a', when: { prompt_tokens: { min: 5, max: 4 } }, then }])[0] ?? '', /never match/);
  assert.match(found([{ name: 'a', when: { hours: '08:00-08:00' }, then }])[0] ?? '', /never match/);
  assert.match(found([{ name: 'a', when: { header: { Authorization: '*' } }, then }])[0] ?? '', /secret/);
  assert.match(found([{ name: 'a', then: { require: 'gemni' } }])[0] ?? '', /gemni/);
  assert.match(found([{ name: 'a', then: { require: 'phone' } }], true)[0] ?? '', /device/);
  assert.match(found([{ name: 'a', then: { prefer: 'local', forbid: 'local' } }])[0] ?? '', /forbids it/);
  assert.match(
    found([
      { name: 'a', then },
      { name: 'b', then: { require: 'cloud' } },
    ])[0] ?? '',
    /contradicts the rule "a"/,
  );
  assert.throws(() => rulesSchema.parse([{ name: 'a', when: { content: '(?<=a)b' }, then }]), /RE2/);
  assert.throws(() => rulesSchema.parse([{ name: 'a', then: {} }]), /must say/);
});
