import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, type TestContext } from 'node:test';

import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const executablePath = '/usr/bin/chromium';

/** Why no browser test can run here; `false` where they can. */
export const noBrowser: string | false = existsSync(executablePath) ? false : `there is no ${executablePath}`;

/** A name of this machine that a browser takes for another one's: without TLS it offers pages less than on loopback. */
export const lanName = 'lan.test';

/** A headless Chromium that keeps to itself. */
function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=MAP ${lanName} 127.0.0.1`,
    ],
  });
}

/** One browser for all tests of a suite: it starts before the first and ends after the last. */
export function browserOfSuite(): () => Browser {
  let browser: Browser | undefined;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser?.close());
  return () => browser ?? assert.fail('the browser is not started yet');
}

/** A page, and what must stay empty whatever it shows. */
export interface WatchedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Requests to other hosts than the one under test. */
  readonly foreign: string[];
  /** Errors of scripts and of the content security policy, and dialogs. */
  readonly faults: string[];
}

/** What Chromium tells its console as an error and is none: an answer that refuses, a header that only TLS makes count. */
const usual = ['status of 4', 'Cross-Origin-Opener-Policy header has been ignored'];

export type PageOptions = Parameters<Browser['newContext']>[0];

/** Opens a page of its own, gone with its test. */
export async function openPage(
  t: TestContext,
  browser: Browser,
  url: string,
  options: PageOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ baseURL: url, locale: 'en-GB', timezoneId: 'Europe/Zurich', ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const [foreign, faults]: [string[], string[]] = [[], []];
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) foreign.push(request.url());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !usual.some((text) => message.text().includes(text))) faults.push(message.text());
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { page, context, foreign, faults };
}

/**
 * What axe finds wrong, one line each; empty is what a test wants. What it finds right is not put together, nor a page
 * opened to do that in: it takes a third of the time. (The mode that needs none cannot look into frames of other hosts.)
 */
export async function accessibilityFaults(page: Page): Promise<readonly string[]> {
  const builder = new AxeBuilder({ page }).options({ resultTypes: ['violations'] }).setLegacyMode();
  const { violations } = await builder.analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ''}`),
  );
}

/** Resolves once an expression is true in the page; fails with it otherwise. The page's policy forbids Playwright's own way. */
export async function untilTrue(page: Page, expression: string, limitMs = 10_000): Promise<void> {
  const sinceMs = performance.now();
  while ((await page.evaluate(expression)) !== true) {
    assert.ok(performance.now() - sinceMs < limitMs, `never true: ${expression}`);
    await page.waitForTimeout(25);
  }
}
