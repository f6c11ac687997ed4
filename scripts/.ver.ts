import { ScriptedUpstream } from '../testing/src/scripted-upstream.ts';
import { answerWith } from '../testing/src/upstream/openai-answer.ts';
import { writeFileSync } from 'node:fs';
const words = (t: string) => t.match(/\S+\s*/g) ?? [];
const usage = (n: number) => ({ prompt_tokens: 14, completion_tokens: n, total_tokens: 14 + n });
const local = await ScriptedUpstream.start((x) => {
  if (x.request.method === 'GET')
    return x.json(200, {
      object: 'list',
      data: [{ id: 'small', object: 'model', created: 0, owned_by: 't', context_length: 32768 }],
    });
  const body = JSON.stringify(x.request.json);
  if (body.includes('hopeless')) return x.json(500, { error: { message: 'oom' } });
  const hard = body.includes('hard');
  const d = words(hard ? 'The capital is Sydney.' : 'It equals 4.');
  return answerWith({
    deltas: d,
    usage: usage(d.length),
    logprobs: d.map(() => (hard ? -1.5 : -0.03)),
    paceMs: body.includes('slow') ? 300 : 20,
  })(x);
});
const cloud = await ScriptedUpstream.start((x) => {
  if (x.request.method === 'GET')
    return x.json(200, {
      object: 'list',
      data: [{ id: 'gemini-2.5-flash', object: 'model', created: 0, owned_by: 't', context_length: 32768 }],
    });
  const body = JSON.stringify(x.request.json);
  if (body.includes('hopeless')) return x.json(500, { error: { message: 'oom' } });
  const d = words('Canberra it is.');
  return answerWith({ deltas: d, usage: usage(d.length), paceMs: 40 })(x);
});
writeFileSync(
  '/tmp/ver/lfo.yaml',
  `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: gemini, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [gemini-2.5-flash] }
embedded: { model: none }
fleet: { listen: "off" }
`,
);
console.log('up');
setInterval(() => {}, 1e6);
