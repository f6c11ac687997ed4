import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { accessibilityFaults, browserOfSuite, noBrowser, openPage } from '@lfo/testing/browser.ts';
import { questions, type Scene, startScene, weatherTool } from '@lfo/testing/dashboard-scene.ts';
import { recordedDays } from '../src/records/sample-days.ts';

/** Pictures of every view are put here, where it is set. */
const pictures = process.env['LFO_SCREENSHOTS'];
const key = 'lfo-a-key-of-some-length';

/** A day on record and a few requests just now. */
async function busyScene(t: TestContext): Promise<{ readonly scene: Scene; readonly paths: readonly string[] }> {
  const rows = recordedDays(Date.now() - 60_000, 1_200, 86_400_000);
  const scene = await startScene(t, { rows, yaml: 'records: { capture: true }' });
  for (const [index, { id, confidence }] of rows.slice(0, 120).entries()) {
    const verdict = (confidence ?? 0.9) > (index % 37) / 37 ? 'good' : 'bad';
    if (index % 2 === 0) await scene.router.request('POST', '/v1/feedback', { request_id: id, verdict });
  }
  const failed = await scene.ask(questions.hopeless);
  const tool = await scene.ask(questions.weather, { body: { tools: [weatherTool] } });
  for (const question of [questions.unlucky, questions.hard, 'Translate "good morning" to French.']) {
    await scene.ask(question);
  }
  const escalated = await scene.ask(questions.hard, { body: { stream: true } });
  await scene.ask(questions.easy);
  await scene.recorded(7);
  const views = [
    'now',
    'requests',
    'trends',
    'confidence',
    'fleet',
    'keys',
    'settings',
    'errors',
    'playground',
    'elsewhere',
  ];
  const pages = [escalated, failed, tool].map((id) => `requests/${id}`);
  return { scene, paths: [...views, `compare?a=${escalated}&b=${tool}`, ...pages] };
}

describe('how the dashboard looks', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  test('every view is accessible, fits and stays at home, in light and dark, on a desk and on a phone', async (t) => {
    const { scene, paths } = await busyScene(t);
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1440, 390]) {
        const viewport = { width, height: 900 };
        const { page, foreign, faults } = await openPage(t, browser(), scene.url, { colorScheme, viewport });
        for (const path of paths) {
          await page.goto(`/dashboard/${path}`);
          await page.locator('.card, .empty').first().waitFor();
          if (path === 'trends') await page.locator('.plot canvas').nth(5).waitFor();
          if (path === 'playground') {
            await page.getByLabel('Prompt').fill(questions.hard);
            await page.keyboard.press('Control+Enter');
            await page.getByText('The whole decision').nth(2).waitFor();
          }
          const seen = `${path}, ${colorScheme}, ${width} px`;
          assert.deepEqual([seen, await accessibilityFaults(page)], [seen, []]);
          const overflow = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'));
          assert.ok(overflow <= 0, `${seen}: ${overflow} px too wide`);
          if (pictures === undefined) continue;
          const name = path.startsWith('requests/') ? `request-${paths.indexOf(path)}` : path.replace(/\?.*/, '');
          await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`), fullPage: true });
        }
        assert.deepEqual([foreign, faults], [[], []]);
        await page.context().close();
      }
    }
  });

  test('so is every view that has nothing to show yet', async (t) => {
    const { url } = await startScene(t);
    for (const [colorScheme, width] of [
      ['light', 1440],
      ['dark', 390],
    ] as const) {
      const { page, faults } = await openPage(t, browser(), url, { colorScheme, viewport: { width, height: 900 } });
      for (const path of ['now', 'requests', 'trends', 'confidence', 'keys', 'errors', 'playground', 'compare']) {
        await page.goto(`/dashboard/${path}`);
        await page.locator('.card, .empty').first().waitFor();
        const seen = `${path}, ${colorScheme}, ${width} px`;
        assert.deepEqual([seen, await accessibilityFaults(page)], [seen, []]);
        const overflow = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'));
        assert.ok(overflow <= 0, `${seen}: ${overflow} px too wide`);
        if (pictures !== undefined)
          await page.screenshot({ path: join(pictures, `empty-${path}-${colorScheme}-${width}.png`) });
      }
      assert.deepEqual(faults, []);
      await page.context().close();
    }
  });

  test('the form is accessible and fits too', async (t) => {
    const { url } = await startScene(t, { env: { LFO_AUTH_TOKEN: key } });
    for (const colorScheme of ['light', 'dark'] as const) {
      const viewport = { width: 390, height: 844 };
      const { page, foreign, faults } = await openPage(t, browser(), url, { colorScheme, viewport });
      await page.goto('/dashboard/login');
      await page.getByRole('heading', { name: 'Log in' }).waitFor();
      assert.deepEqual(await accessibilityFaults(page), []);
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth')) <= 0);
      if (pictures !== undefined) await page.screenshot({ path: join(pictures, `login-${colorScheme}-390.png`) });
      assert.deepEqual([foreign, faults], [[], []]);
    }
  });

  test('who prefers less motion sees none', async (t) => {
    const { url } = await startScene(t);
    const { page } = await openPage(t, browser(), url, { reducedMotion: 'reduce' });
    await page.goto('/dashboard/now');
    await page.getByText('No request has come yet.').waitFor();
    const moving = 'document.getAnimations().filter(({ playState }) => playState === "running").length';
    assert.equal(await page.evaluate(moving), 0);
    const held = page.evaluate(
      `fetch('/v1/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ role: 'user', content: ${JSON.stringify(questions.long)} }] }) }).then(({ status }) => status)`,
    );
    await page.locator('a.row .running').waitFor();
    assert.equal(await page.evaluate(moving), 0);
    assert.equal(await held, 200);
  });
});
