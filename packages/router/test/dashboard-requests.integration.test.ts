import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { browserOfSuite, noBrowser, openPage, untilTrue } from '@lfo/testing/browser.ts';
import { questions, type SceneOptions, startScene } from '@lfo/testing/dashboard-scene.ts';
import { recordedDays } from '../src/records/sample-days.ts';

const hourMs = 3_600_000;

describe('what is on record, in a browser', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  async function open(t: TestContext, options: SceneOptions) {
    const scene = await startScene(t, options);
    return { ...scene, ...(await openPage(t, browser(), scene.url)) };
  }

  test('each page leads to the next, until everything on record is shown', async (t) => {
    const { page } = await open(t, { rows: recordedDays(Date.now(), 120, hourMs) });
    await page.goto('/dashboard/requests');
    const rows = page.locator('a.row');
    for (const shown of [40, 80]) {
      await rows.nth(shown - 1).waitFor();
      assert.equal(await rows.count(), shown);
      await page.getByRole('button', { name: 'Load more' }).click();
    }
    await page.getByText('These are all on record.').waitFor();
    const links = await rows.evaluateAll((all) => all.map((row) => row.getAttribute('href')));
    assert.equal(new Set(links).size, 120, 'no row is lost or repeated');
    assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0);
  });

  test('a search that has found nothing yet says how far it looked, and goes on', async (t) => {
    const nowMs = Date.now();
    const newer = recordedDays(nowMs, 10_100, hourMs).map((row) => ({ ...row, reason: 'confident' }));
    const older = recordedDays(nowMs - hourMs, 5, hourMs, { seed: 3 }).map((row) => ({
      ...row,
      reason: 'confident',
      backend: 'laptop',
    }));
    const { page } = await open(t, { rows: [...newer, ...older] });
    await page.goto('/dashboard/requests?reason=confident&backend=laptop');
    await page.getByRole('status').getByText('Nothing found back to').waitFor();
    assert.equal(await page.locator('a.row').count(), 0);
    await page.getByRole('button', { name: 'Look further' }).click();
    await page.locator('a.row').nth(4).waitFor();
    await page.getByText('These are all on record.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Look further' }).count(), 0);
  });

  test('filters live in the address, and the way back leads to the same rows', async (t) => {
    const { page, ask } = await open(t, { rows: recordedDays(Date.now() - hourMs, 200, hourMs) });
    const id = await ask(questions.hopeless);
    await page.goto('/dashboard/requests');
    await page.getByLabel('Route').selectOption('local');
    await page.waitForURL('**/dashboard/requests?route=local');
    await page.locator('a.row').nth(39).waitFor();
    await page.getByRole('button', { name: 'Load more' }).click();
    const far = page.locator('a.row').nth(70);
    await far.waitFor();
    await far.scrollIntoViewIfNeeded();
    const scrolled = Number(await page.evaluate('scrollY'));
    assert.ok(scrolled > 1_000, `${scrolled} px`);
    await far.click();
    await page.getByRole('heading', { name: 'Time line' }).waitFor();
    await page.goBack();
    await far.waitFor();
    await untilTrue(page, `Math.abs(scrollY - ${scrolled}) < 5`);

    await page.getByLabel('Route').selectOption('');
    await page.getByLabel('Outcome').selectOption('failed');
    await page.locator(`a.row[href$="${id}"]`).waitFor();
    await page.reload();
    assert.equal(await page.getByLabel('Outcome').inputValue(), 'failed');
    await page.locator(`a.row[href$="${id}"]`).waitFor();
    await page.getByLabel('Backend').selectOption('gemini');
    await page.getByLabel('Reason').selectOption('repeated_tool_call');
    await page.getByText('No request on record matches.').waitFor();
    await page.getByRole('link', { name: 'Show all requests' }).click();
    await page.locator('a.row').nth(39).waitFor();
  });
});
