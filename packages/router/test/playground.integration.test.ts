import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { animatedPng, type Frame } from '@lfo/testing/animated-png.ts';
import { browserOfSuite, noBrowser, openPage, untilTrue } from '@lfo/testing/browser.ts';
import { questions, startScene } from '@lfo/testing/dashboard-scene.ts';
import type { Page } from 'playwright-core';

/** The README's recording is put here, where it is set: `LFO_SCREENSHOTS=docs/images`. */
const pictures = process.env['LFO_SCREENSHOTS'];

describe('the playground shows how LFO decides', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`the held local answer, the verdict and the escalation, as they happen (${colorScheme})`, async (t) => {
      const { url } = await startScene(t);
      const viewport = { width: 900, height: 720 };
      const { page, faults } = await openPage(t, browser(), url, { colorScheme, viewport });
      await page.goto('/dashboard/playground');
      for (const about of ['stays on', 'leaves']) await page.getByRole('checkbox', { name: about }).uncheck();
      await page.getByLabel('Prompt').fill(questions.slow);
      const recording = record(page);
      await page.keyboard.press('Control+Enter');
      const card = page.getByRole('region', { name: 'Answer in the mode auto' });
      const held = card.locator('.held-answer');
      await held.filter({ hasText: /held back\s*ollama[^]*The Glass Bead Game/ }).waitFor();
      assert.doesNotMatch(await card.innerText(), /Hesse/, 'nothing is shown while it is judged');
      await held.locator('del').filter({ hasText: 'The Glass Bead Game' }).waitFor();
      await held.filter({ hasText: /scored 0\.\d\d < 0\.70: not shown, the cloud is asked/ }).waitFor();
      await card
        .locator('.text')
        .filter({ hasText: 'Hermann Hesse wrote it; it was published in Zürich in 1943.' })
        .waitFor();
      await card.getByText('The whole decision').waitFor();
      const frames = await recording.end();
      if (pictures !== undefined) writeFileSync(join(pictures, `escalation-${colorScheme}.png`), animatedPng(frames));
      assert.deepEqual(faults, []);
    });
  }

  test('an answer that passes is shown as released', async (t) => {
    const { url } = await startScene(t);
    const { page } = await openPage(t, browser(), url);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.easy);
    await page.keyboard.press('Control+Enter');
    const card = page.getByRole('region', { name: 'Answer in the mode auto' });
    await card.filter({ hasText: /scored 0\.\d\d ≥ 0\.70: released[^]*2 \+ 2 equals 4\./ }).waitFor();
  });

  test('system prompt, tools, schema, parameters and threshold reach the request; its JSON can be read', async (t) => {
    const { url } = await startScene(t);
    const { page } = await openPage(t, browser(), url);
    await page.goto('/dashboard/playground');
    await page.getByText('System text, tools, schema, parameters, threshold').click();
    await page.getByLabel('System text').fill('You are terse.');
    await page.getByLabel('Tools (JSON)').fill('[{');
    await page.getByText('Tools: this is no JSON list.').waitFor();
    const tool = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } };
    await page.getByLabel('Tools (JSON)').fill(JSON.stringify([tool]));
    await page.getByLabel('Temperature').fill('0.2');
    await page.getByLabel('Threshold, 0 to 1').fill('0.05');
    await page.getByLabel('Prompt').fill(questions.hard);
    await page.keyboard.press('Control+Enter');
    const card = page.getByRole('region', { name: 'Answer in the mode auto' });
    // At this threshold what is unsure stays.
    await card.locator('.text').filter({ hasText: 'The capital is Sydney.' }).last().waitFor();
    await card.getByText('Raw JSON').click();
    const { request, answer } = JSON.parse(await card.locator('pre').innerText());
    assert.deepEqual(request.body.messages, [
      { role: 'system', content: 'You are terse.' },
      { role: 'user', content: questions.hard },
    ]);
    assert.deepEqual([request.body.temperature, request.body.tools, request.body.max_tokens], [0.2, [tool], 512]);
    assert.equal(answer.lfo_metadata.threshold, 0.05);
  });

  test('an answer is gone on from, and a recorded request is asked again with its conversation', async (t) => {
    const { url, ask, recorded } = await startScene(t, { yaml: 'records: { capture: true }' });
    const { page } = await openPage(t, browser(), url);
    await page.goto('/dashboard/playground');
    await page.getByLabel('Prompt').fill(questions.easy);
    await page.keyboard.press('Control+Enter');
    const card = page.getByRole('region', { name: 'Answer in the mode local' });
    await card.getByRole('button', { name: 'Go on from here' }).click();
    await page
      .getByRole('region', { name: 'Conversation so far' })
      .filter({ hasText: /user\s*What is 2 \+ 2\?\s*assistant\s*2 \+ 2 equals 4\./ })
      .waitFor();
    const id = await ask(questions.hard);
    await recorded(4);
    await page.goto(`/dashboard/requests/${id}`);
    await page.getByRole('link', { name: 'Ask again' }).click();
    await untilTrue(page, `document.querySelector('#prompt')?.value === ${JSON.stringify(questions.hard)}`);
  });
});

const everyMs = 250;

/** Takes pictures of a page until it is told to end; those that show nothing new make the one before stay longer. */
function record(page: Page): { readonly end: () => Promise<readonly Frame[]> } {
  const frames: Frame[] = [];
  const over = new AbortController();
  if (pictures === undefined) over.abort();
  const take = async (ms: number): Promise<void> => {
    const png = await page.screenshot({ clip: { x: 216, y: 66, width: 676, height: 654 } });
    const last = frames.at(-1);
    if (last?.png.equals(png) === true) frames.splice(-1, 1, { png, ms: last.ms + ms });
    else frames.push({ png, ms });
  };
  const running = (async () => {
    while (!over.signal.aborted) {
      await take(everyMs);
      await page.waitForTimeout(everyMs / 2);
    }
  })();
  return {
    async end() {
      over.abort();
      await running;
      if (pictures !== undefined) await take(4_000);
      return frames;
    },
  };
}
