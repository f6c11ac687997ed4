import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { Agent, request } from 'undici';

import { assertFigure } from '../figure.ts';
import { startLfo, workingFolder } from '../lfo-process.ts';
import { asking } from '../router.ts';
import { faultTest } from './fault-test.ts';
import { percentile } from './percentile.ts';
import { eventStream, eventually, fleetYaml, localServer, startPlayer } from './subject.ts';

const streams = 1000;
/** A neighbour's work moves a 99th percentile more than a slow reader could: the first quiet pair counts. */
const pairs = 3;

faultTest(
  {
    row: 34,
    what: "a reader that stops leaves the others' first tokens where they were",
    bound: 'p99 within 20 %, in one of 3 pairs',
  },
  async (t) => {
    const player = await startPlayer(t, localServer);
    const cwd = workingFolder(t);
    writeFileSync(
      join(cwd, 'lfo.yaml'),
      fleetYaml(
        [localServer.entry(player.upstream.origin, ', concurrency: 2000')],
        'limits: { concurrency: 2000 }\nlog_level: warn',
      ),
    );
    const lfo = startLfo(t, ['serve'], { cwd, env: { PORT: '0', LFO_LOG_LEVEL: 'info' } });
    const url = new URL(
      /http:\/\/[^"\s]+:\d+/.exec(await lfo.output(/http:\/\/[^"\s]+:\d+/))?.[0] ?? assert.fail('no address'),
    );
    const body = (content: string): string => JSON.stringify(asking(content, { model: 'lfo-local', stream: true }));
    const endless = localServer.text('x'.repeat(10_000));
    player.play(async (exchange) => {
      exchange.head(200, eventStream);
      if (exchange.request.text.includes('endless')) {
        while (exchange.end === undefined) await exchange.write(endless);
        return;
      }
      for (let part = 0; part < 3; part++) {
        await exchange.write(localServer.text('word'));
        await exchange.pause(300);
      }
      exchange.finish(localServer.end);
    });

    const agent = new Agent({ connections: streams });
    t.after(() => agent.destroy());
    const firstToken = async (): Promise<number> => {
      const startMs = performance.now();
      const response = await request(`${url.origin}/v1/chat/completions`, {
        method: 'POST',
        dispatcher: agent,
        headers: { 'content-type': 'application/json' },
        body: body('Hello'),
      });
      assert.equal(response.statusCode, 200);
      let tookMs = 0;
      let text = '';
      for await (const bytes of response.body) {
        tookMs ||= performance.now() - startMs;
        text += String(bytes);
      }
      assert.ok(text.endsWith('data: [DONE]\n\n'));
      return tookMs;
    };
    const p99 = async (): Promise<number> =>
      percentile(await Promise.all(Array.from({ length: streams }, firstToken)), 0.99);
    const p99BesideSlow = async (): Promise<number> => {
      const before = player.calls();
      const slow = connect(Number(url.port), url.hostname).on('error', () => undefined);
      slow.pause();
      const sent = body('endless');
      slow.write(
        `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${sent.length}\r\n\r\n${sent}`,
      );
      await eventually('the slow stream runs', () => player.calls() > before);
      const measured = await p99();
      slow.destroy();
      return measured;
    };

    await p99();
    const ratios: number[] = [];
    while (ratios.length < pairs && !ratios.some((ratio) => ratio <= 1.2)) {
      const alone = await p99();
      ratios.push((await p99BesideSlow()) / alone);
    }
    const seen = ratios.map((ratio) => ratio.toFixed(2)).join(', ');
    t.diagnostic(`first-token p99 beside it, to that without it: ${seen}`);
    assertFigure(t, { what: 'p99 beside it', value: Math.min(...ratios), unit: '×', bound: 1.2, is: 'most' });
  },
);
