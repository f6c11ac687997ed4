import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { browserOfSuite, noBrowser, openPage, untilTrue } from '@lfo/testing/browser.ts';
import { questions, type SceneOptions, startScene } from '@lfo/testing/dashboard-scene.ts';
import { at } from '@lfo/testing/sse.ts';

const key = 'the-key-of-the-operator';

describe('the dashboard keeps what was typed, and says nothing that is not so', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  async function open(t: TestContext, options: SceneOptions = {}) {
    const scene = await startScene(t, options);
    return { ...scene, ...(await openPage(t, browser(), scene.url)) };
  }

  test('rows that one reads stay, however many requests come meanwhile', async (t) => {
    const { page, ask } = await open(t);
    const id = await ask(questions.easy);
    await page.goto('/dashboard/now');
    await page.locator(`a.row[href$="${id}"]`).waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    // As many as the list holds, and some.
    for (let batch = 0; batch < 21; batch++)
      await Promise.all(Array.from({ length: 10 }, () => ask(questions.easy, { mode: 'cloud' })));
    await page.getByRole('button', { name: /^2\d\d new$/ }).waitFor();
    assert.equal(await page.locator(`a.row[href$="${id}"]`).count(), 1);
    assert.equal(await page.getByText('No request has come yet.').count(), 0);
  });

  test('what is no number is not put in place of a goal, nor does it take one away', async (t) => {
    const { page, router } = await open(t);
    const limit = 'routing.goal.spend_hard_limit';
    await router.request('PATCH', `/admin/settings/${limit}`, { value: 5 });
    await page.goto('/dashboard/confidence');
    const field = page.getByLabel('Dollars a day, at most');
    const row = page.locator('tr', { has: field });
    for (const typed of ['7,50', '$7']) {
      await field.fill(typed);
      await row.getByRole('button', { name: 'Apply' }).click();
      await row.getByRole('alert').getByText('a number').waitFor();
      assert.equal(await field.inputValue(), typed);
    }
    const { json } = await router.request('GET', '/admin/settings');
    const settings = at(json, 'settings');
    assert.ok(Array.isArray(settings));
    assert.deepEqual(
      settings.filter((each) => at(each, 'setting') === limit).map((each) => at(each, 'value')),
      [5],
    );
    await field.fill('7.5');
    await row.getByRole('button', { name: 'Apply' }).click();
    await row.getByRole('button', { name: 'Undo' }).waitFor();
    assert.equal(await field.inputValue(), '7.5');
  });

  test('a backend whose name begins as a device’s is in the fleet', async (t) => {
    const { page } = await open(t, { localName: 'dev-box' });
    await page.goto('/dashboard/fleet');
    await page.getByRole('heading', { name: 'gemini' }).waitFor();
    assert.equal(await page.getByRole('heading', { name: 'dev-box' }).count(), 1);
  });

  test('each filter of the address is seen, whatever its value', async (t) => {
    const { page, ask, recorded } = await open(t);
    await ask(questions.easy);
    await recorded(1);
    await page.goto('/dashboard/requests?status=409&error=budget_spent&device=dev-1&key=old&untilMs=1795000000000');
    await page.getByText('No request on record matches.').waitFor();
    const shown = (label: string): Promise<string> => page.getByLabel(label, { exact: true }).inputValue();
    assert.deepEqual(await Promise.all(['Status', 'Error', 'Device', 'Key', 'Until'].map(shown)), [
      '409',
      'budget_spent',
      'dev-1',
      'old',
      '1795000000000',
    ]);
  });

  test('a question that is asked again keeps its system text, and what was changed of it on the way back', async (t) => {
    const { page, ask, recorded } = await open(t, { yaml: 'records: { capture: true }' });
    const messages = [
      { role: 'system', content: 'You are terse.' },
      { role: 'user', content: questions.hard },
    ];
    const id = await ask(questions.hard, { body: { messages } });
    await recorded(1);
    await page.goto(`/dashboard/requests/${id}`);
    await page.getByRole('link', { name: 'Ask again' }).click();
    await untilTrue(page, `document.querySelector('#prompt')?.value === ${JSON.stringify(questions.hard)}`);
    assert.equal(await page.locator('#option-system').inputValue(), 'You are terse.');
    await page.getByLabel('Prompt').fill(questions.easy);
    await page.keyboard.press('Control+Enter');
    const card = page.getByRole('region', { name: 'Answer in the mode local' });
    await card.getByRole('link', { name: 'The whole decision' }).click();
    await page.waitForURL('**/dashboard/requests/*');
    await page.getByRole('heading', { name: 'Time line' }).waitFor();
    await page.goBack();
    await page.getByLabel('Prompt').waitFor();
    // A second look-up of the request would be over by then.
    await page.waitForLoadState('networkidle', { timeout: 500 }).catch(() => {});
    assert.equal(await page.getByLabel('Prompt').inputValue(), questions.easy);
  });

  test('what is held back of a second attempt does not follow that of the first', async (t) => {
    const { page } = await open(t);
    const held = (more: object): string =>
      `event: held\ndata: ${JSON.stringify({ id: '0199-a', backend: 'ollama', model: 'm', afterMs: 3, text: '', verdict: null, ...more })}\n\n`;
    let isAsked = false;
    await page.route('**/v1/chat/completions', () => {
      isAsked = true;
    });
    await page.route('**/dashboard/api/live?*', async (route) => {
      const events = isAsked
        ? held({ text: 'The capital is Syd' }) +
          held({ text: 'It is ', afterMs: 90 }) +
          held({ text: 'Bern.', afterMs: 90 })
        : '';
      if (isAsked) await page.unroute('**/dashboard/api/live?*');
      await route.fulfill({ contentType: 'text/event-stream', body: `retry: 200\n\n${events}` });
    });
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill('Capital of Switzerland?');
    await page.keyboard.press('Control+Enter');
    const text = page.getByRole('region', { name: 'Answer in the mode auto' }).locator('.held-answer .text');
    await text.filter({ hasText: 'Bern.' }).waitFor();
    assert.equal(await text.innerText(), 'It is Bern.');
  });

  test('a pairing that the router no longer knows has ended', async (t) => {
    const { page } = await open(t);
    await page.route('**/admin/devices/pairings', (route) =>
      route.fulfill({
        status: 201,
        json: { id: 'p1', uri: 'lfo://pair', code: 'ABCD', expires: new Date(Date.now() + 300_000), qr: '<svg/>' },
      }),
    );
    await page.goto('/dashboard/fleet');
    await page.getByRole('button', { name: 'Pair your first device' }).click();
    await page.getByText('ended: the router was started anew').waitFor();
    assert.equal(await page.getByLabel('Pairing code').count(), 0);
    await page.getByRole('button', { name: 'Pair your first device' }).waitFor();
  });

  test('one press of Create makes one key, however often it is pressed; each is copied by itself', async (t) => {
    const { page } = await open(t, { env: { LFO_AUTH_TOKEN: key } });
    await logIn(page);
    await page.goto('/dashboard/keys');
    await page.getByLabel('Name').fill('laptop');
    await page.getByRole('button', { name: 'Create' }).dblclick();
    await page.locator('.notice').getByText('laptop').waitFor();
    await page.locator('.notice').getByRole('button', { name: 'Copy' }).click();
    await page.locator('.notice').getByRole('button', { name: 'Copied' }).waitFor();
    await page.getByLabel('Name').fill('phone');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.locator('.notice').getByText('phone').waitFor();
    await page.locator('.notice').getByRole('button', { name: 'Copy', exact: true }).waitFor();
    await page.locator('li.key').filter({ hasText: 'phone' }).waitFor();
    assert.equal(await page.locator('li.key').filter({ hasText: 'laptop' }).count(), 1);
  });

  test('a page goes on after its viewer has logged in anew beside it, and keeps its filters through the form', async (t) => {
    const { page, context } = await open(t, { env: { LFO_AUTH_TOKEN: key } });
    await logIn(page);
    await page.goto('/dashboard/requests?status=200');
    await page.getByText('No request on record matches.').waitFor();
    await context.clearCookies();
    await page.getByRole('button', { name: 'Reload' }).click();
    await page.waitForURL('**/dashboard/login?*');
    await logIn(page, '**/dashboard/requests?status=200');
    await page.getByRole('link', { name: 'Keys', exact: true }).click();
    await page.getByLabel('Name').fill('laptop');
    await context.clearCookies();
    await logIn(await context.newPage());
    await page.getByRole('button', { name: 'Create' }).click();
    await page.locator('.notice').getByText('laptop').waitFor();
    assert.equal(new URL(page.url()).pathname, '/dashboard/keys');
    // The frame was drawn twice, and its shortcuts are heard once.
    const entries = await page.evaluate<number>('history.length');
    await page.locator('h1').click();
    await page.keyboard.press('g');
    await page.keyboard.press('n');
    await page.waitForURL('**/dashboard/now');
    assert.equal(await page.evaluate<number>('history.length'), entries + 1);
  });

  test('figures of a time lead to the requests of that time, and those of one key are its own', async (t) => {
    const { page, ask, recorded, router } = await open(t);
    await ask(questions.easy);
    await ask(questions.hopeless);
    await recorded(2);
    await page.goto('/dashboard/errors?range=1h');
    const cause = page.locator('tbody th a').first();
    await cause.waitFor();
    assert.match((await cause.getAttribute('href')) ?? '', /&fromMs=\d+/);
    await page.goto('/dashboard/trends?range=1h&key=nobody');
    await page.getByText('Nothing was asked in this time.').waitFor();
    await page.goto('/dashboard/trends?range=1h');
    const tile = page.locator('.tile', { hasText: 'Requests' }).getByRole('link');
    await tile.first().waitFor();
    assert.match((await tile.first().getAttribute('href')) ?? '', /fromMs=\d+/);
    const all = await router.request('GET', '/dashboard/api/usage?range=1h');
    assert.equal(at(all.json, 'requests'), 2);
    const ofNobody = await router.request('GET', '/dashboard/api/usage?range=1h&by=model&key=nobody');
    assert.deepEqual([at(ofNobody.json, 'requests'), at(ofNobody.json, 'groups')], [0, []]);
  });
});

async function logIn(page: Awaited<ReturnType<typeof openPage>>['page'], to = '**/dashboard/now'): Promise<void> {
  if (!page.url().includes('/dashboard/login')) await page.goto('/dashboard/login');
  await page.getByLabel('Key').fill(key);
  await page.keyboard.press('Enter');
  await page.waitForURL(to);
}
