import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { assertWithin } from '@lfo/testing/figure.ts';
import { browserOfSuite, lanName, noBrowser, openPage } from '@lfo/testing/browser.ts';
import { questions, type SceneOptions, startScene, weatherTool } from '@lfo/testing/dashboard-scene.ts';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { recordedDays } from '../src/records/sample-days.ts';
import { at } from '@lfo/testing/sse.ts';
import { xssPayloads } from '@lfo/testing/xss-payloads.ts';

const key = 'lfo-a-key-of-some-length';
const views = ['now', 'requests', 'trends', 'confidence', 'fleet', 'playground'] as const;

describe('who and what the dashboard lets in', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  async function open(t: TestContext, options: SceneOptions = {}) {
    const scene = await startScene(t, options);
    return { ...scene, ...(await openPage(t, browser(), scene.url)) };
  }

  test('with a key one logs in, works, and is out again after logging out', async (t) => {
    const { page, ask, context, foreign } = await open(t, { env: { LFO_AUTH_TOKEN: key } });
    await page.goto('/dashboard/fleet');
    await page.waitForURL('**/dashboard/login');
    await page.getByLabel('Key').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('This key is not valid here.').waitFor();
    await page.getByLabel('Key').fill(key);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict']);
    const id = await ask(questions.easy, { headers: { authorization: `Bearer ${key}` } });
    await page.locator(`a.row[href$="${id}"]`).click();
    await page.getByRole('button', { name: 'Good answer' }).click();
    await page.locator('button[aria-pressed="true"]').waitFor();
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.easy);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('region', { name: 'Answer in the mode local' }).getByText('2 + 2 equals 4.').waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL('**/dashboard/login');
    await page.goto('/dashboard/now');
    await page.waitForURL('**/dashboard/login');
    assert.deepEqual(foreign, []);
  });

  test('it works over plain HTTP from another machine, where a browser offers its pages less', async (t) => {
    const { url } = await startScene(t, { yaml: `server: { allowed_hosts: [${lanName}] }\n` });
    const { page, faults } = await openPage(t, browser(), url.replace('127.0.0.1', lanName));
    await page.goto('/dashboard/playground');
    assert.equal(await page.evaluate('isSecureContext'), false);
    await page.getByLabel('Prompt').fill(questions.hard);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.held-answer.dropped').waitFor();
    assert.deepEqual(faults, []);
  });

  test('a session that ends elsewhere leads to the form and back to where one was', async (t) => {
    const { page, context } = await open(t, { env: { LFO_AUTH_TOKEN: key } });
    await page.goto('/dashboard/login');
    await page.getByLabel('Key').fill(key);
    // Everything the first view asks for, or one of its answers would lead to the form already.
    const keysLearned = page.waitForResponse('**/dashboard/api/keys');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    await keysLearned;
    await page.getByText('2 of 2 backends ready').waitFor();
    await context.clearCookies();
    await page.getByRole('link', { name: 'Trends' }).click();
    await page.waitForURL('**/dashboard/login?next=%2Ftrends');
    await page.getByLabel('Key').fill(key);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/trends');
    await context.clearCookies();
    await page.goto('/dashboard/login?next=https%3A%2F%2Fevil.test');
    await page.getByLabel('Key').fill(key);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
  });

  test('twenty hostile texts are text wherever they come in', async (t) => {
    const { page, router, ask, foreign, faults, recorded } = await open(t, {
      localModels: [...xssPayloads, 'one-long-name'.repeat(12)],
      yaml: 'records: { capture: true }',
    });
    const ids: string[] = [];
    for (const payload of xssPayloads) {
      const body = { model: payload, tools: [weatherTool], user: payload };
      ids.push(await ask(payload, { body }));
    }
    const together = xssPayloads.join('\n');
    const system = { role: 'system', content: together };
    const calls = [{ id: 'c1', type: 'function', function: { name: 'get_weather', arguments: together } }];
    const messages = [
      system,
      { role: 'user', content: together },
      { role: 'assistant', content: together, tool_calls: calls },
      { role: 'tool', tool_call_id: 'c1', content: together },
      { role: 'user', content: together },
    ];
    await ask('Hi', { body: { model: 'one-long-name'.repeat(12) } });
    const long = await router.chat({ messages, model: 'lfo-cloud' });
    assert.equal(at(long.json, 'choices', 0, 'message', 'content'), together, 'hostile texts come back from models');
    const longId = String(long.headers['x-request-id']);
    await recorded(xssPayloads.length + 2);

    for (const view of ['now', 'requests']) {
      await page.goto(`/dashboard/${view}`);
      await page.locator('a.row').nth(xssPayloads.length).waitFor();
      const shown = await page.locator('main').innerText();
      for (const payload of xssPayloads) assert.ok(shown.includes(payload), `${view}: ${payload}`);
    }
    await page.goto('/dashboard/fleet');
    await page.getByText(xssPayloads.slice(0, 4).join(', ')).waitFor();
    for (const id of [longId, ...ids.slice(0, 5)]) {
      await page.goto(`/dashboard/requests/${id}`);
      await page.getByRole('heading', { name: 'Conversation' }).waitFor();
    }
    await page.goto(`/dashboard/requests/${longId}`);
    const turns = page.locator('.turn');
    await turns.nth(5).waitFor();
    for (const turn of await turns.all()) {
      const shown = await turn.innerText();
      for (const payload of xssPayloads) assert.ok(shown.includes(payload), payload);
    }
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(together);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('The whole decision').nth(2).waitFor();
    const answers = await page.locator('.answers').innerText();
    for (const payload of xssPayloads) assert.ok(answers.includes(payload), payload);
    for (const payload of xssPayloads) {
      const text = encodeURIComponent(payload);
      await page.goto(`/dashboard/requests?backend=${text}`);
      assert.equal(await page.getByLabel('Backend').inputValue(), payload);
    }
    for (const payload of xssPayloads.slice(0, 3)) {
      await page.goto(`/dashboard/requests/${encodeURIComponent(payload)}`);
      await page.getByText('No request with this id is on record.').waitFor();
    }
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of ['now', 'fleet', `requests/${longId}`]) {
      await page.goto(`/dashboard/${path}`);
      await page.locator('.card').first().waitFor();
      const overflow = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'));
      assert.ok(overflow <= 0, `${path} is ${overflow} px too wide for a phone`);
    }
    assert.equal(await page.locator('main img, main iframe, main script, main svg[onload]').count(), 0);
    assert.deepEqual([foreign, faults], [[], []]);
  });

  test('the name of a key is shown with its requests, as text whatever it says', async (t) => {
    const { page, router, ask, foreign, faults } = await open(t);
    const name = xssPayloads.join(' ');
    const created = await runLfo(t, ['keys', 'create', '--name', name, '--scope', 'admin', 'chat'], {
      cwd: router.folder,
      env: { LFO_DATA_DIR: router.config.current().dataDir },
    });
    const admin = created.stdout.trim();
    await page.goto('/dashboard/login');
    await t.waitFor(async () => assert.equal((await router.request('GET', '/v1/models')).status, 401), {
      timeout: 10_000,
    });
    await page.getByLabel('Key').fill(admin);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    const id = await ask(questions.easy, { headers: { authorization: `Bearer ${admin}` } });
    await page.goto(`/dashboard/requests/${id}`);
    await page.getByText(name).waitFor();
    assert.equal(await page.locator('main img, main iframe, main script, main svg[onload]').count(), 0);
    assert.deepEqual([foreign, faults], [[], []]);
  });

  test('the first load stays under 100 kB over the wire, and can be used at once', async (t) => {
    const { page, foreign } = await open(t, { rows: recordedDays(Date.now(), 600, 86_400_000) });
    const load = async (view: string): Promise<{ readonly bytes: number; readonly interactiveMs: number }> => {
      const fresh = await page.context().newPage();
      const client = await page.context().newCDPSession(fresh);
      await client.send('Network.enable');
      await client.send('Network.setCacheDisabled', { cacheDisabled: true });
      let bytes = 0;
      client.on('Network.dataReceived', ({ encodedDataLength }) => (bytes += encodedDataLength));
      client.on('Network.responseReceived', ({ response }) => (bytes += response.encodedDataLength));
      await fresh.goto(`/dashboard/${view}`);
      await fresh.getByRole('heading', { level: 1 }).waitFor();
      await fresh.locator('.card, .tile').first().waitFor();
      if (view === 'trends') await fresh.locator('.plot canvas').nth(5).waitFor();
      const interactiveMs = Number(
        await fresh.evaluate('performance.getEntriesByName("lfo:interactive")[0].startTime'),
      );
      await fresh.close();
      t.diagnostic(`${view}: ${bytes} bytes, interactive after ${Math.round(interactiveMs)} ms`);
      return { bytes, interactiveMs };
    };
    for (const view of views) {
      // The machine may be busy with other tests: the best of three is the page's own doing.
      let best = Infinity;
      for (let attempt = 0; attempt < 3 && best >= 1_000; attempt++) {
        const { bytes, interactiveMs } = await load(view);
        assert.ok(bytes > 10_000 && bytes < 100_000, `${view}: ${bytes} bytes`);
        best = Math.min(best, interactiveMs);
      }
      assertWithin(t, `${view} interactive`, best, 1_000);
    }
    assert.deepEqual(foreign, []);
  });
});
