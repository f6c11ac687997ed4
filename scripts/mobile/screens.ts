/**
 * Renders every screen and state of the app in headless Chromium, in light and dark, at 360 and 412 pixels; asks axe
 * about each, and that nothing runs out of the screen. Keeps pictures of the serving phone, and all with `--keep`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const app = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'apps', 'mobile');
const kept = join(app, 'images');
const given = process.argv.find((argument) => argument.startsWith('--site='))?.slice('--site='.length);
const all = process.argv.includes('--keep');
const site = given ?? mkdtempSync(join(tmpdir(), 'lfo-screens-'));

if (given === undefined) {
  execFileSync(
    process.execPath,
    [join(app, 'node_modules/expo/bin/cli'), 'export', '--platform', 'web', '--output-dir', site],
    { cwd: app, env: { ...process.env, CI: '1', EXPO_NO_TELEMETRY: '1', EXPO_OFFLINE: '1' }, stdio: 'ignore' },
  );
}

/** The states of the app's own list, by name. */
const source = readFileSync(join(app, 'src/demo/scenes.ts'), 'utf8');
const listed = source.slice(source.indexOf('export const scenes'));
const scenes = Array.from(listed.matchAll(/^ {2}'?([a-z-]+)'?: scene\(/gm), ([, name = '']) => name);
assert.ok(scenes.length >= 20, `only ${scenes.length} states were found`);
const others: readonly (readonly [tab: string, scene: string])[] = [
  ['pair', 'fresh'],
  ['pair', 'serving'],
  ['pair', 'unreachable'],
  ['pair', 'dialled'],
  ['models', 'fresh'],
  ['models', 'serving'],
  ['models', 'downloading'],
  ['models', 'download-paused'],
  ['models', 'download-waits'],
  ['models', 'download-failed'],
  ['models', 'checking'],
  ['settings', 'serving'],
  ['settings', 'fresh'],
];
const views = [...scenes.map((scene) => ['serve', scene] as const), ...others];

const server = createServer((request, response) => {
  const path = new URL(request.url ?? '/', 'http://x').pathname;
  const file = path.includes('.') ? path : '/index.html';
  const type = file.endsWith('.js')
    ? 'text/javascript'
    : file.endsWith('.html')
      ? 'text/html'
      : 'application/octet-stream';
  response.setHeader('content-type', type);
  createReadStream(join(site, file))
    .on('error', () => response.writeHead(404).end())
    .pipe(response);
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const address: AddressInfo | string | null = server.address();
assert.ok(typeof address === 'object' && address !== null);
const base = `http://127.0.0.1:${address.port}`;

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const faults: string[] = [];
let count = 0;
mkdirSync(kept, { recursive: true });
for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 412]) {
    const context = await browser.newContext({
      viewport: { width, height: 860 },
      colorScheme,
      locale: 'en-GB',
      timezoneId: 'Europe/Zurich',
    });
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(`${page.url()}: ${error.message}`));
    for (const [tab, scene] of views) {
      const where = `${tab} ${scene} ${colorScheme} ${width}`;
      await page.goto(`${base}/?tab=${tab}&scene=${scene}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      // What axe looks at does not change with the width.
      const { violations } = width === 360 ? await new AxeBuilder({ page }).analyze() : { violations: [] };
      for (const { id, nodes } of violations) faults.push(`${where}: ${id} at ${nodes[0]?.target.join(' ')}`);
      const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      if (overflow !== 0) faults.push(`${where}: ${String(overflow)} pixels beside the screen`);
      count += 1;
      if (all) {
        // Whole, where a phone scrolls.
        await page.setViewportSize({ width, height: 1800 });
        await page.screenshot({ path: join(site, `${tab}-${scene}-${colorScheme}-${width}.png`) });
        await page.setViewportSize({ width, height: 860 });
      }
      const isForReadme =
        width === 412 &&
        ((tab === 'serve' && scene === 'serving') ||
          (tab === 'models' && scene === 'downloading') ||
          (tab === 'pair' && scene === 'fresh'));
      if (isForReadme) await page.screenshot({ path: join(kept, `${tab}-${colorScheme}.png`) });
    }
    await context.close();
  }
}
await browser.close();
server.close();
if (given === undefined && !all) rmSync(site, { recursive: true, force: true });
else process.stdout.write(`The pictures are in ${site}.\n`);
assert.deepEqual(faults, []);
process.stdout.write(`${count} views: axe finds nothing, and nothing runs out of the screen.\n`);
