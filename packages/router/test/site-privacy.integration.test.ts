import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lies } from '@lfo/testing/lying-edge.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { asking } from '@lfo/testing/router.ts';
import { startSiteNetwork } from '@lfo/testing/site-network.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';

const skip = namespaceProblem() ?? false;

test(
  'local at the centre sends no packet out, whatever fails at its site or whatever it says; auto escalates at the centre',
  { skip, timeout: 170_000 },
  async (t) => {
    const { network, ask, signalSite } = await startSiteNetwork(t);
    const counts = async (): Promise<readonly [centre: number, site: number]> => {
      const centre = await network.quiet(300);
      return [centre, network.sitePackets()];
    };
    assert.deepEqual(await counts(), [0, 0], 'start-up, with cloud keys configured at both');

    const local = (body: Record<string, unknown>) => ({ ...body, model: 'site/lfo-local' });
    const answered = await ask(local(asking('Hello')));
    assert.equal(answered.status, 200, answered.text);
    assert.equal(answered.egress, 'none');

    // The centre alone knows a way out, and its site is asked for mode local even then.
    const unsure = asking('be unsure', { model: 'lfo-auto', metadata: { confidence_threshold: '0.9' } });
    const escalated = await ask(unsure);
    assert.match(escalated.text, /"backend":"site"[^}]*"outcome":"escalated"/);
    const [away, site] = await counts();
    assert.ok(away > 0, 'auto escalates at the centre');
    assert.equal(site, 0, 'and there alone');

    for (const stream of [false, true]) {
      await Promise.all(Object.keys(faults).map((fault) => ask(local(asking(fault, { stream })))));
    }
    const odd = ['be unsure', 'call a tool', 'word '.repeat(3_000), 'word '.repeat(30_000)];
    await Promise.all(odd.flatMap((text) => [ask(local(asking(text))), ask(local(asking(text, { stream: true })))]));
    assert.deepEqual(await counts(), [away, 0], 'whatever fails behind the edge');

    for (const lie of lies) {
      const { status, text } = await ask(asking('Hello', { model: lie, metadata: { mode: 'local' } }));
      assert.equal(status, 502, `${lie}: ${text}`);
      assert.match(text, /egress_violation/);
    }
    assert.deepEqual(await counts(), [away, 0], 'whatever a site says');

    signalSite('SIGSTOP');
    await Promise.all([1, 2].map(() => ask(local(asking('Hello')))));
    signalSite('SIGKILL');
    const gone = await ask(local(asking('Hello')));
    assert.ok(gone.status >= 400, gone.text);
    assert.deepEqual(await counts(), [away, 0], 'a site that hangs, and one that is gone');
  },
);
