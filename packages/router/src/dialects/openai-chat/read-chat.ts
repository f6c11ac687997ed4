import { requestErrorOf } from '../issues.ts';
import { addressOf, type AskedModel, type ReaderDeps, type Received, warnOfLoops } from '../reading.ts';
import type { ReadRequest } from '../wire.ts';
import { chatBodySchema } from './chat-body.ts';
import { ChatFormat } from './chat-format.ts';
import { type PlainBody, readPlainBody } from './plain-body.ts';
import { toChatRequest } from './to-chat-request.ts';

/** A chat, and how its model was named. */
export interface ReadChat extends ReadRequest {
  readonly address: AskedModel;
}

/** The reader of `POST /v1/chat/completions`. @throws LfoError 400, 403 or 404 whose param names the field or header */
export function chatReader(deps: ReaderDeps): (received: Received) => ReadChat {
  const schema = chatBodySchema(deps.limits);
  return (received) => {
    const { id, body } = received;
    const plain = readPlainBody(body.value, body.text, deps.limits);
    if (plain !== undefined) return readPlain(plain, received, deps);
    const parsed = schema.safeParse(body.value);
    if (!parsed.success) throw requestErrorOf(parsed.error);
    const wire = parsed.data;
    const address = addressOf(
      received,
      {
        model: wire.model,
        metadata: wire.metadata,
        conversation: wire.prompt_cache_key ?? wire.user,
        isPatient: wire.service_tier === 'flex',
        isStream: wire.stream === true,
      },
      deps,
    );
    const { model, hints, fetchImages } = address;
    const warnings = new Map<string, string>();
    const { canonicalHead } = deps;
    const context = { id, model, hints, bodyBytes: body.bytes, fetchImages, canonicalHead, warnings };
    const request = toChatRequest(wire, context);
    warnOfLoops(request.messages, warnings);
    return { request, warnings, format: new ChatFormat(request), address };
  };
}

/** As the schema would have it read. */
function readPlain({ model: asked, ...plain }: PlainBody, received: Received, deps: ReaderDeps): ReadChat {
  const address = addressOf(received, { model: asked, isStream: plain.stream }, deps);
  const { model, hints } = address;
  const warnings = new Map<string, string>();
  const request = { id: received.id, model, ...plain, legacyFunctions: false, hints, bodyBytes: received.body.bytes };
  warnOfLoops(request.messages, warnings);
  return { request, warnings, format: new ChatFormat(request), address };
}
