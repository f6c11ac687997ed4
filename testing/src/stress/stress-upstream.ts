import { type FaultSubject, eventStream, localServer } from '../faults/subject.ts';
import { at } from '../sse.ts';
import type { Exchange, Script } from '../upstream/exchange.ts';
import { answerWith } from '../upstream/openai-answer.ts';

/** How a backend behaves for a while. */
export const moods = [
  'well',
  'slow',
  'refusing',
  'limited',
  'silent',
  'cut',
  'nonsense',
  'error without its body',
] as const;
export type Mood = (typeof moods)[number];

/** Parts of a streamed answer. */
export const partsOfAnswer = 8;

/** The one word an answer is made of, named in the prompt: whoever asked knows its own. */
export function promptOf(kind: string, word: string, mode: string): string {
  return `stress ${kind} ${word} in-mode-${mode}`;
}

/** A backend of a changing mood. Each prompt it was given goes to `seen`. */
export function stressScript(subject: FaultSubject, mood: () => Mood, seen: (prompt: string) => void): Script {
  return async (exchange) => {
    if (exchange.request.method === 'GET') return exchange.json(200, { data: [], models: [] });
    const [prompt, kind, word = ''] = /stress (\w+) (\w+) in-mode-\w+/.exec(exchange.request.text) ?? [];
    seen(prompt ?? exchange.request.text);
    await exchange.pause(Math.random() * 20);
    const now = mood();
    switch (now) {
      case 'refusing':
        return exchange.json(503, { error: { message: 'no', code: 503, status: 'UNAVAILABLE' } });
      case 'limited':
        return exchange.json(429, { error: { message: 'slowly', code: 429 } }, { 'retry-after': '1' });
      case 'silent':
        return exchange.silence();
      case 'error without its body':
        exchange.head(500, { 'content-type': 'application/json', 'content-length': '100' });
        return exchange.silence();
      case 'slow':
        await exchange.pause(250);
        return answer(subject, exchange, kind, word);
      case 'cut':
        return await begin(subject, exchange, word, () => exchange.reset());
      case 'nonsense':
        return await begin(subject, exchange, word, () => exchange.finish('data: {{{\n\n'));
      case 'well':
        return await answer(subject, exchange, kind, word);
      default:
        return now satisfies never;
    }
  };
}

async function answer(
  subject: FaultSubject,
  exchange: Exchange,
  kind: string | undefined,
  word: string,
): Promise<void> {
  if (kind === 'json') return await say(subject, exchange, [`{"word": `, `"${word}"}`]);
  if (kind === 'tools' && subject.entry === localServer.entry) {
    const call = { id: `call_${word}`, name: 'look_up', argumentDeltas: ['{"word": ', `"${word}"}`] };
    return await answerWith({ deltas: [], toolCalls: [call] })(exchange);
  }
  return await say(
    subject,
    exchange,
    Array.from({ length: partsOfAnswer }, () => `${word} `),
  );
}

async function say(subject: FaultSubject, exchange: Exchange, parts: readonly string[]): Promise<void> {
  if (!wantsStream(exchange)) return exchange.json(200, subject.whole(parts.join('')));
  exchange.head(200, eventStream);
  for (const part of parts) {
    await exchange.write(subject.text(part));
    await exchange.pause(Math.random() * 20);
  }
  exchange.finish(subject.end);
}

async function begin(subject: FaultSubject, exchange: Exchange, word: string, end: () => void): Promise<void> {
  if (!wantsStream(exchange)) return end();
  exchange.head(200, eventStream);
  for (let part = 0; part < 3; part++) await exchange.write(subject.text(`${word} `));
  await exchange.pause(10);
  end();
}

function wantsStream({ request }: Exchange): boolean {
  return at(request.json, 'stream') === true || request.path.includes('streamGenerateContent');
}
