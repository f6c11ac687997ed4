import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { accessibilityFaults, launchBrowser, noBrowser, openPage, type PageOptions } from '@lfo/testing/browser.ts';
import { type DashboardServerOptions, scriptedFleet, startDashboard } from '@lfo/testing/dashboard-server.ts';
import { recordedDays } from '@lfo/testing/recorded-days.ts';
import { xssPayloads } from '@lfo/testing/xss-payloads.ts';
import { request as send } from 'undici';

const key = 'lfo-a-key-of-some-length';
const dayMs = 86_400_000;
const views = ['now', 'trends', 'confidence', 'fleet', 'playground'] as const;

describe('the dashboard in a browser', { skip: noBrowser }, () => {
  let browser: Awaited<ReturnType<typeof launchBrowser>>;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(t: TestContext, options: DashboardServerOptions = {}, pageOptions: PageOptions = {}) {
    const server = await startDashboard(t, options);
    const url = await server.listen();
    const chat = async (mode = 'auto', headers: Record<string, string> = {}): Promise<string> => {
      const { body, headers: answered } = await send(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-lfo-mode': mode, ...headers },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
      });
      await body.dump();
      return String(answered['x-request-id']);
    };
    return { ...server, ...(await openPage(t, browser, url, pageOptions)), url, chat };
  }

  test('a request shows up within a second, and its counters with it', async (t) => {
    const { page, chat } = await open(t);
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    const id = await chat();
    await page.locator(`a.row[href$="${id}"]`).waitFor({ timeout: 1_000 });
    assert.match(await page.locator('.tile').first().innerText(), /Requests\s+1/);
    assert.match(await page.locator(`a.row[href$="${id}"]`).innerText(), /escalated[^]*gemini[^]*0\.42/);
  });

  test('rows wait while one reads, counters do not', async (t) => {
    const { page, chat } = await open(t);
    await chat();
    await page.goto('/dashboard/now');
    await page.locator('a.row').hover();
    for (let i = 0; i < 3; i++) await chat('local');
    const pill = page.getByRole('button', { name: '3 new' });
    await pill.waitFor({ timeout: 1_000 });
    assert.equal(await page.locator('a.row').count(), 1);
    assert.match(await page.locator('.tile').first().innerText(), /Requests\s+4/);
    await pill.click();
    await page.locator('a.row').nth(3).waitFor({ timeout: 1_000 });
  });

  test('a click opens the whole decision, which takes a verdict', async (t) => {
    const { page, chat, store, recorder } = await open(t);
    const id = await chat();
    await page.goto('/dashboard/now');
    await page.locator('a.row').click();
    await page.waitForURL(`**/dashboard/requests/${id}`);
    await page.getByText('Escalated. The local answer stayed below the confidence threshold.').waitFor();
    await page.getByRole('button', { name: 'Bad answer' }).click();
    await page.locator('button[aria-pressed="true"]', { hasText: 'Bad answer' }).waitFor();
    await recorder.flush();
    const { verdict } = await store.db.selectFrom('feedback').select('verdict').executeTakeFirstOrThrow();
    assert.equal(verdict, 'bad');
  });

  test('the playground asks each mode as any client would', async (t) => {
    const { page, live } = await open(t);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill('What is the capital of Australia?');
    await page.keyboard.press('Control+Enter');
    for (const [mode, backend] of [
      ['local', 'embedded'],
      ['auto', 'gemini'],
      ['cloud', 'gemini'],
    ] as const) {
      const card = page.getByRole('region', { name: `Answer in the mode ${mode}` });
      await card.getByText('Canberra.').waitFor();
      await card.getByText(backend).waitFor();
    }
    assert.deepEqual(
      live
        .snapshot()
        .requests.map(({ mode }) => mode)
        .toSorted(),
      ['auto', 'cloud', 'local'],
    );
  });

  test('the keyboard alone goes from view to view and into a request', async (t) => {
    const { page, chat } = await open(t);
    const id = await chat();
    await page.goto('/dashboard/fleet');
    await page.getByRole('heading', { name: 'Fleet' }).waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.locator(':focus').innerText(), 'Skip to the content');
    await page.getByRole('link', { name: 'Now', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    assert.equal(await page.locator(':focus').innerText(), 'Now', 'the new view has the focus');
    await page.locator('a.row').waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/dashboard/requests/${id}`);
  });

  test('with a key one logs in, comes to where one wanted to go, and out again', async (t) => {
    const { page, chat, context, foreign } = await open(t, { authToken: key });
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
    const id = await chat('auto', { authorization: `Bearer ${key}` });
    await page.locator(`a.row[href$="${id}"]`).waitFor({ timeout: 1_000 });
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill('hi');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('region', { name: 'Answer in the mode local' }).getByText('Canberra.').waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL('**/dashboard/login');
    await page.goto('/dashboard/now');
    await page.waitForURL('**/dashboard/login');
    assert.deepEqual(foreign, []);
  });

  test('the live list goes on after the connection was lost', async (t) => {
    const { page, chat, app } = await open(t);
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    app.server.closeAllConnections();
    await page.getByText('Connection lost, trying again').waitFor();
    const id = await chat();
    await page.locator(`a.row[href$="${id}"]`).waitFor({ timeout: 15_000 });
  });

  test('twenty hostile texts are shown as text in every field', async (t) => {
    const [first = ''] = xssPayloads;
    const detail = xssPayloads.join(' ');
    const backends = scriptedFleet.map((backend) =>
      Object.assign(structuredClone(backend), {
        id: `${backend.id}${first}`,
        models: xssPayloads,
        status: { state: 'ready', detail },
      } as const),
    );
    let turn = 0;
    const { page, chat, foreign, faults } = await open(t, {
      backends,
      text: detail,
      script(trace) {
        const payload = xssPayloads[turn++ % xssPayloads.length] ?? '';
        Object.assign(trace, { backend: payload, model: payload, finishReason: payload });
        for (const attempt of trace.attempts) Object.assign(attempt, { backend: payload, model: payload });
        trace.warnings.set(payload, payload);
      },
    });
    const ids: string[] = [];
    for (const _ of xssPayloads) ids.push(await chat());
    await page.goto('/dashboard/now');
    await page
      .locator('a.row')
      .nth(xssPayloads.length - 1)
      .waitFor();
    const shown = await page.locator('.rows').innerText();
    for (const payload of xssPayloads) assert.ok(shown.includes(payload), payload);
    await page.goto('/dashboard/fleet');
    await page.getByText(detail).first().waitFor();
    for (const id of ids.slice(0, 3)) {
      await page.goto(`/dashboard/requests/${id}`);
      await page.getByRole('heading', { name: 'Facts' }).waitFor();
    }
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(detail);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(detail).nth(1).waitFor();
    assert.equal(await page.locator('main img, main iframe, main script, main svg[onload]').count(), 0);
    assert.deepEqual([foreign, faults], [[], []]);
  });

  const sizes = [
    { width: 1440, height: 900 },
    { width: 390, height: 844 },
  ];
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of sizes) {
      test(`every view is accessible, fits and stays at home: ${colorScheme}, ${viewport.width} px`, async (t) => {
        const options = { rows: recordedDays(Date.now(), 600, dayMs) };
        const { page, chat, foreign, faults } = await open(t, options, { colorScheme, viewport });
        const ids = [await chat('auto'), await chat('local'), await chat('cloud')];
        const folder = mkdtempSync(join(tmpdir(), 'lfo-screenshots-'));
        for (const view of [...views, `requests/${ids[0]}`]) {
          await page.goto(`/dashboard/${view}`);
          await page.locator('.card').first().waitFor();
          if (view === 'trends') await page.locator('.plot canvas').nth(5).waitFor();
          assert.deepEqual([view, await accessibilityFaults(page)], [view, []]);
          const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
          assert.ok(Number(overflow) <= 0, `${view} is ${String(overflow)} px too wide`);
          await page.screenshot({ path: join(folder, `${view.replaceAll('/', '-')}.png`), fullPage: true });
        }
        t.diagnostic(`screenshots: ${folder}`);
        assert.deepEqual([foreign, faults], [[], []]);
      });
    }
  }

  test('without anything to show, every view says what to do next', async (t) => {
    const { page } = await open(t, { backends: [] });
    for (const [view, words] of [
      ['now', 'No request has come yet.'],
      ['trends', 'Nothing was asked in this time.'],
      ['confidence', 'No local answer was scored in this time.'],
      ['fleet', 'Nothing here can answer.'],
      ['requests/unknown', 'No request with this id is on record.'],
      ['elsewhere', 'There is no such view.'],
    ] as const) {
      await page.goto(`/dashboard/${view}`);
      await page.getByText(words).waitFor();
    }
  });

  test('the first load stays under 100 kB, and its drawings come when they are needed', async (t) => {
    const { page } = await open(t);
    let bytes = 0;
    page.on('response', (response) => {
      if (!response.url().endsWith('/live')) bytes += Number(response.headers()['content-length'] ?? 0);
    });
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    assert.ok(bytes > 10_000 && bytes < 100_000, `${bytes} bytes`);
  });
});
