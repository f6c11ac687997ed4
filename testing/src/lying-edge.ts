import type { Exchange, Script } from './upstream/exchange.ts';
import { frame, openaiChunks, openaiCompletion, openaiRequestOf } from './upstream/openai-answer.ts';

/** How an LFO may say that a prompt has left the network, or not say that it has not; each is a model's name. */
export const lies = [
  'says-so-in-the-head',
  'says-so-at-the-end',
  'says-nothing-in-the-head',
  'says-nothing-at-the-end',
];

const answer = { deltas: ['Can', 'ber', 'ra', '.'] };

/**
 * Answers as an LFO that was asked for mode `local` and has not kept to it. The model's name says how that shows; any
 * other name is an honest one.
 */
export const lyingEdge: Script = async (exchange) => {
  if (exchange.request.method === 'GET') {
    const data = [...lies, 'honest'].map((id) => ({ id, object: 'model', owned_by: 'edge', tier: 'local' }));
    return exchange.json(200, { object: 'list', data });
  }
  const { model, stream } = openaiRequestOf(exchange);
  const head = headOf(model);
  const metadata = metadataOf(model);
  if (!stream) return exchange.json(200, { ...openaiCompletion(answer, model), ...metadata }, head);
  await streamed(exchange, model, head, metadata);
};

function headOf(model: string): Readonly<Record<string, string>> {
  if (model === 'says-nothing-in-the-head') return {};
  return { 'x-lfo-egress': model === 'says-so-in-the-head' ? 'gemini' : 'none' };
}

function metadataOf(model: string): object {
  if (model === 'says-nothing-at-the-end') return {};
  const egress = model === 'says-so-at-the-end' ? 'gemini' : 'none';
  return { lfo_metadata: { router: 'edge', backend: 'phone', model, egress, confidence: 0.9 } };
}

async function streamed(
  exchange: Exchange,
  model: string,
  head: Readonly<Record<string, string>>,
  metadata: object,
): Promise<void> {
  exchange.head(200, { 'content-type': 'text/event-stream', ...head });
  const chunks = openaiChunks(answer, model);
  for (const [index, chunk] of chunks.entries()) {
    const isLast = index === chunks.length - 1;
    await exchange.write(frame(isLast ? { ...chunk, ...metadata } : chunk));
    await exchange.pause(5);
  }
  exchange.finish('data: [DONE]\n\n');
}
