import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { browserOfSuite, noBrowser, openPage } from '@lfo/testing/browser.ts';
import { questions, type SceneOptions, startScene, weatherTool } from '@lfo/testing/dashboard-scene.ts';
import { recordedDays } from '../src/records/sample-days.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { refusingOrigin } from '@lfo/testing/scripted-upstream.ts';
import { request as send } from 'undici';

describe('the dashboard shows what goes through the router', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  async function open(t: TestContext, options: SceneOptions = {}) {
    const scene = await startScene(t, options);
    const watched = await openPage(t, browser(), scene.url);
    const row = (id: string) => watched.page.locator(`a.row[href$="${id}"]`);
    return { ...scene, ...watched, row };
  }

  test('a request shows up within a second, and its counters with it', async (t) => {
    const { page, ask, row } = await open(t);
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    const id = await ask(questions.easy);
    await row(id)
      .filter({ hasText: /local[^]*ollama[^]*reached the confidence threshold/ })
      .waitFor({ timeout: 1_000 });
    assert.match(await page.locator('.tile').first().innerText(), /Requests\s+1/);
  });

  test('the day so far stays where it is while newer figures come', async (t) => {
    const { page, ask } = await open(t);
    await page.clock.install();
    await ask(questions.easy);
    await page.goto('/dashboard/now');
    await page.locator('.today').waitFor();
    await page.evaluate(`new MutationObserver((changes) => {
      for (const { removedNodes } of changes)
        for (const { className } of removedNodes) if (className === 'today') document.title = 'gone';
    }).observe(document.body, { childList: true, subtree: true })`);
    for (let minute = 0; minute < 2; minute++) {
      const yesterday = page.waitForResponse(/api\/usage\?.*until=/);
      await page.clock.fastForward(60_000);
      await yesterday;
    }
    await page.locator('.today').waitFor();
    assert.equal(await page.title(), 'Now · LFO');
  });

  test('whatever becomes of a request is shown: kept, escalated, failed over, failed, refused', async (t) => {
    const { page, ask, row } = await open(t);
    await page.goto('/dashboard/now');
    const fates = [
      [questions.easy, 'auto', /local[^]*ollama[^]*The local answer reached the confidence threshold/],
      [questions.hard, 'auto', /escalated[^]*gemini[^]*local scored 0\.\d\d < 0\.\d\d → gemini/],
      [questions.hard, 'local', /local[^]*ollama[^]*The request asked for the local tier/],
      [questions.easy, 'cloud', /cloud[^]*gemini[^]*The request asked for the cloud tier/],
      [questions.unlucky, 'auto', /failed over[^]*gemini[^]*The local attempt failed/],
      [questions.hopeless, 'auto', /failed[^]*Upstream error/],
    ] as const;
    for (const [question, mode, shown] of fates) {
      const id = await ask(question, { mode });
      await row(id).filter({ hasText: shown }).waitFor();
    }
    const tiles = await page.locator('.tiles').innerText();
    assert.match(tiles, /Requests\s+6[^]*Local share\s+40 %[^]*Escalated\s+2[^]*Failed\s+1/);
  });

  test('a stream is seen while it runs, and that its client left', async (t) => {
    const { page, url } = await open(t);
    await page.goto('/dashboard/now');
    const body = JSON.stringify({ messages: [{ role: 'user', content: questions.long }], stream: true });
    const headers = { 'content-type': 'application/json', 'x-lfo-mode': 'local' };
    const answer = await send(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
    await page.locator('a.row', { hasText: 'answering' }).waitFor();
    assert.match(await page.locator('.tiles').innerText(), /Running\s+1/);
    await page.locator('a.row').click();
    await page.locator('.attempt-foot', { hasText: 'Running.' }).waitFor();
    answer.body.on('error', () => {});
    answer.body.destroy();
    await page.locator('.badge', { hasText: 'client left' }).waitFor();
    await page.getByRole('link', { name: 'Now', exact: true }).click();
    await page.locator('a.row', { hasText: 'client left' }).waitFor();
    await page.locator('.tile', { hasText: 'Running' }).filter({ hasText: '0' }).waitFor();
  });

  test('rows wait while one reads, counters do not', async (t) => {
    const { page, ask } = await open(t);
    await ask(questions.easy);
    await page.goto('/dashboard/now');
    await page.locator('a.row').hover();
    for (let i = 0; i < 3; i++) await ask(questions.easy);
    const pill = page.getByRole('button', { name: '3 new' });
    await pill.waitFor();
    assert.equal(await page.locator('a.row').count(), 1);
    assert.match(await page.locator('.tile').first().innerText(), /Requests\s+4/);
    await pill.click();
    await page.locator('a.row').nth(3).waitFor();
  });

  test('a request’s page tells its whole story, and takes a verdict', async (t) => {
    const { page, ask, row } = await open(t, { yaml: 'records: { capture: true }' });
    const id = await ask(questions.hard);
    await page.goto('/dashboard/now');
    await row(id).click();
    await page.waitForURL(`**/dashboard/requests/${id}`);
    await page.getByRole('heading', { name: 'The local answer stayed below the confidence threshold' }).waitFor();
    const attempts = page.locator('.timeline li', { has: page.locator('.track') });
    assert.match(await attempts.nth(0).innerText(), /local\s+ollama qwen3:4b[^]*Escalated\..*score 0\.\d\d/);
    assert.match(await attempts.nth(1).innerText(), /cloud\s+gemini gemini-2.5-flash[^]*Answered\..*cloud .* ms/i);
    const main = page.locator('main');
    for (const words of [
      /Completion\s*6/,
      /Cost, estimated\s*\$0\.0000\d+/,
      /Longest local prompt\s*1,500 tokens/,
      /Judge\s*answer heads/,
      /user\s*What is the capital of Australia\?\s*answer\s*The capital of Australia is Canberra\./,
    ]) {
      await main.filter({ hasText: words }).waitFor();
    }
    assert.doesNotMatch(await main.innerText(), /Sydney/, 'the answer that was not given is not kept');
    await page.getByRole('button', { name: 'Bad answer' }).click();
    await page.locator('button[aria-pressed="true"]', { hasText: 'Bad answer' }).waitFor();
    await page.reload();
    await page.locator('button[aria-pressed="true"]', { hasText: 'Bad answer' }).waitFor();
  });

  test('a long text is folded until somebody wants it', async (t) => {
    const { page, ask, recorded } = await open(t, { yaml: 'records: { capture: true }' });
    const id = await ask(`${'Please. '.repeat(250)}Really.`);
    await recorded(1);
    await page.goto(`/dashboard/requests/${id}`);
    const turn = page.locator('.turn.user');
    await turn.getByText('Show all of 2,007 characters').click();
    await turn.getByText(/Really\.$/).waitFor();
    await turn.getByText('Show less').click();
    await turn.getByText('Show all of 2,007 characters').waitFor();
  });

  test('a tool call is told as one, and a prompt that is not kept is not shown', async (t) => {
    const { page, ask, recorded } = await open(t);
    const id = await ask(questions.weather, { body: { tools: [weatherTool] } });
    await recorded(1);
    await page.goto(`/dashboard/requests/${id}`);
    const main = page.locator('main');
    await main.filter({ hasText: /End\s*calls tools/ }).waitFor();
    await main.filter({ hasText: /Tools offered\s*1/ }).waitFor();
    await main.filter({ hasText: 'The prompt and answer of this request were not kept.' }).waitFor();
    assert.doesNotMatch(await main.innerText(), /Bern/);
  });

  test('trends and confidence count what was answered', async (t) => {
    const { page, router, ask, recorded } = await open(t);
    const judged = await ask(questions.easy);
    for (const question of [questions.easy, questions.hard, questions.unlucky, questions.hopeless]) await ask(question);
    await recorded(5);
    await router.request('POST', '/v1/feedback', { request_id: judged, verdict: 'good' });
    await page.goto('/dashboard/trends?range=1h');
    await page.locator('.plot canvas').nth(5).waitFor();
    const tiles = await page.locator('.tiles').innerText();
    assert.match(tiles, /Requests\s+5\s+1 failed[^]*Local share\s+50 %\s+2 of 4 answers/);
    const chart = page.locator('figure', { has: page.getByRole('heading', { name: 'Requests' }) });
    assert.match(
      await chart.locator('.chart-legend').innerText(),
      /Whole range\s+Local 2\s+Cloud at once 0\s+Escalated 2\s+Failed 1/,
    );
    await chart.getByText('As a table').click();
    assert.match(await chart.locator('tbody').innerText(), /\b2\s+0\s+2\s+1\s+0\s+0\b/);
    await page.getByRole('link', { name: '30 days' }).click();
    await page.waitForURL('**/dashboard/trends?range=30d');
    await page.goto('/dashboard/confidence?range=1h');
    await page.getByText('From the latest 5 requests of this time. 3 local answers had a score').waitFor();
    assert.match(await page.locator('.histogram + .legend').innerText(), /kept local 2[^]*escalated for its score 1/);
    await page.getByText('From 1 verdict.').waitFor();
    const slider = page.getByRole('slider', { name: 'Threshold' });
    await slider.focus();
    await slider.press('Home');
    await page.getByRole('heading', { name: 'What if the threshold were 0.00?' }).waitFor();
    await page
      .locator('main')
      .filter({ hasText: /Stay local\s*3 \(100 %\)[^]*1 fewer escalation(?!s)/ })
      .waitFor();
  });

  test('trends say when requests were served but not recorded', async (t) => {
    const nowMs = Date.now();
    const lost = { id: 'gap-1', from_ms: nowMs - 1_200_000, until_ms: nowMs - 900_000, requests: 321 };
    const { page } = await open(t, { rows: recordedDays(nowMs, 50, 3_600_000), gaps: [lost] });
    await page.goto('/dashboard/trends?range=1h');
    await page.getByRole('note').getByText('321 requests of this time were answered but not recorded').waitFor();
  });

  test('a drained backend gets nothing new until it is resumed', async (t) => {
    const { page, ask, row } = await open(t);
    await page.goto('/dashboard/fleet');
    const card = page.locator('.backend', { has: page.getByRole('heading', { name: 'ollama' }) });
    const answering = ask(questions.long, { mode: 'local' });
    await card.filter({ hasText: /Requests here now\s*1/ }).waitFor();
    await card.getByRole('button', { name: 'Drain' }).click();
    await card.getByText('draining').waitFor();
    const elsewhere = await ask(questions.easy);
    const kept = await answering;
    await card.getByRole('button', { name: 'Resume' }).click();
    await card.filter({ hasText: 'ready' }).waitFor();
    const back = await ask(questions.easy);
    await page.goto('/dashboard/now');
    for (const [id, backend] of [
      [elsewhere, 'gemini'],
      [kept, 'ollama'],
      [back, 'ollama'],
    ] as const) {
      await row(id).filter({ hasText: backend }).waitFor();
    }
  });

  test('a backend that cannot be reached is shown as such, with what is wrong', async (t) => {
    const origin = await refusingOrigin();
    const yaml = `backends:
  - { name: away, kind: openai-compatible, tier: local, base_url: "${origin}/v1", models: [small] }\n`;
    const router = await startRouter(t, { yaml });
    const { page } = await openPage(t, browser(), router.app.url);
    await page.goto('/dashboard/fleet');
    const card = page.locator('.backend', { has: page.getByRole('heading', { name: 'away' }) });
    await card.getByText('down', { exact: true }).waitFor();
    await card.locator('.detail.error').waitFor();
    await page.getByText('Not ready').waitFor();
    const answer = await router.chat({ messages: [{ role: 'user', content: 'Hi' }] });
    assert.equal(answer.status, 503);
    await page.goto('/dashboard/now');
    await page.locator('a.row', { hasText: /failed[^]*No backend available/ }).click();
    await page.getByRole('heading', { name: 'Time line' }).waitFor();
  });

  test('the playground asks each mode as any client would', async (t) => {
    const { page, row } = await open(t);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.hard);
    await page.keyboard.press('Control+Enter');
    for (const [mode, backend, text] of [
      ['local', 'ollama', 'The capital is Sydney.'],
      ['auto', 'gemini', 'The capital of Australia is Canberra.'],
      ['cloud', 'gemini', 'The capital of Australia is Canberra.'],
    ] as const) {
      const card = page.getByRole('region', { name: `Answer in the mode ${mode}` });
      await card.getByText(text).waitFor();
      await card.getByText(backend, { exact: false }).first().waitFor();
    }
    const auto = page.getByRole('region', { name: 'Answer in the mode auto' });
    await auto.getByRole('button', { name: 'Good answer' }).click();
    await auto.locator('button[aria-pressed="true"]').waitFor();
    await auto.getByRole('link', { name: 'The whole decision' }).click();
    await page.waitForURL('**/dashboard/requests/*');
    const id = page.url().split('/').at(-1) ?? '';
    await page.goBack();
    await auto.getByText('The capital of Australia is Canberra.').waitFor();
    assert.equal(await page.getByLabel('Prompt').inputValue(), questions.hard, 'nothing is lost on the way back');
    await page.goto('/dashboard/now');
    await row(id).filter({ hasText: 'escalated' }).waitFor();
    assert.equal(await page.locator('a.row').count(), 3);
  });

  test('what is held back of an answer is there too for who was elsewhere meanwhile', async (t) => {
    const { page } = await open(t);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.hard);
    await page.getByRole('button', { name: 'Send' }).waitFor();
    await page.evaluate(`document.querySelector('.ask').requestSubmit();
      document.querySelector('a[href="/dashboard/now"]').click()`);
    await page.locator('a.row', { hasText: 'escalated' }).waitFor();
    await page.goBack();
    const auto = page.getByRole('region', { name: 'Answer in the mode auto' });
    await auto.locator('del', { hasText: 'The capital is Sydney.' }).waitFor();
  });

  test('what fails in the playground is said there', async (t) => {
    const { page } = await open(t);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.hopeless);
    await page.getByRole('button', { name: 'Send' }).click();
    const local = page.getByRole('region', { name: 'Answer in the mode local' });
    await local.getByRole('alert').waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /out of memory/, 'what an upstream says stays here');
  });

  test('the keyboard alone goes from view to view and into a request', async (t) => {
    const { page, ask } = await open(t);
    const id = await ask(questions.easy);
    await page.goto('/dashboard/fleet');
    await page.getByRole('heading', { name: 'Fleet' }).waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.locator(':focus').innerText(), 'Skip to the content');
    await page.getByRole('link', { name: 'Now', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    assert.equal(await page.locator(':focus').innerText(), 'Now', 'the new view has the focus');
    assert.equal(await page.title(), 'Now · LFO');
    await page.locator('a.row').waitFor();
    // Past the button that pauses and the numbers that lead to their requests.
    for (let presses = 0; presses < 12 && (await page.locator('a.row:focus').count()) === 0; presses++) {
      await page.keyboard.press('Tab');
    }
    assert.equal(await page.locator('a.row:focus').count(), 1);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/dashboard/requests/${id}`);
  });

  test('while the router is away the page says so, and goes on by itself when it is back', async (t) => {
    const { page, router, restart, row } = await open(t);
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    await router.app.close();
    await page.getByText('LFO does not answer. What is shown may be old').waitFor();
    const again = await restart();
    const answer = await again.chat({ messages: [{ role: 'user', content: questions.easy }] });
    await row(String(answer.headers['x-request-id'])).waitFor({ timeout: 20_000 });
    await page.getByText('2 of 2 backends ready').waitFor();
    assert.equal(await page.getByText('LFO does not answer.').count(), 0);
  });

  test('while the database is away requests are shown all the same, and what needs it says why', async (t) => {
    const key = 'a-long-random-key';
    const env = { DATABASE_URL: 'postgres://lfo@127.0.0.1:1/lfo', LFO_AUTH_TOKEN: key };
    const { page, ask, row } = await open(t, { env });
    await page.goto('/dashboard/login');
    await page.getByLabel('Key').fill(key);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dashboard/now');
    const id = await ask(questions.easy, { headers: { authorization: `Bearer ${key}` } });
    await row(id).filter({ hasText: 'ollama' }).waitFor();
    for (const view of ['requests', 'trends', 'confidence']) {
      await page.goto(`/dashboard/${view}`);
      await page.getByText('The database cannot be read now.').waitFor();
      await page.getByRole('button', { name: 'Try again' }).waitFor();
    }
    await page.getByText('The database refuses rows').waitFor();
  });

  test('without anything to show, every view says what to do next', async (t) => {
    const { app } = await startRouter(t);
    const { page } = await openPage(t, browser(), app.url);
    for (const [view, words] of [
      ['now', 'No request has come yet.'],
      ['requests', 'No request is on record yet.'],
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
});
