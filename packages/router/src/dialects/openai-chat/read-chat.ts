import type { IncomingHttpHeaders } from 'node:http';

import type { LimitsConfig } from '../../config/config.ts';
import { LfoError } from '../../core/errors.ts';
import type { ListedModel } from '../../core/exchange.ts';
import type { ChatRequest } from '../../core/request.ts';
import type { ReceivedBody } from '../../server/body-parser.ts';
import { chatBodySchema } from './chat-body.ts';
import type { KeyIdentity } from '../../core/identity.ts';
import { findListed } from '../../core/model-directory.ts';
import { requestErrorOf } from './issues.ts';
import { readHints } from '../mode.ts';
import { mostRepeatedCall, suspectedLoop } from './repeated-calls.ts';
import { toChatRequest } from './to-chat-request.ts';

/** One request as HTTP brought it. */
interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: ReceivedBody;
  readonly identity: KeyIdentity;
}

/** A validated request, and what of it will not be honoured. */
export interface ReadChat {
  readonly request: ChatRequest;
  readonly warnings: Map<string, string>;
}

/** Validates a request, once. @throws LfoError 400, 403 or 404 whose param names the field or header */
export type ChatReader = (received: Received) => ReadChat;

const defaultModel = 'lfo-auto';

export function chatReader(limits: LimitsConfig, models: () => readonly ListedModel[]): ChatReader {
  const schema = chatBodySchema(limits);
  return ({ id, headers, body, identity }) => {
    const parsed = schema.safeParse(body.value);
    if (!parsed.success) throw requestErrorOf(parsed.error);
    const wire = parsed.data;
    const model = findModel(models(), wire.model ?? identity.models?.[0] ?? defaultModel, identity);
    const conversation = wire.prompt_cache_key ?? wire.user ?? undefined;
    const isStream = wire.stream === true;
    const hints = readHints({ headers, metadata: wire.metadata, model, identity, conversation, isStream });
    const warnings = new Map<string, string>();
    // Whoever fetched one would send a packet out.
    const fetchImages = limits.fetchImages && hints.mode !== 'local';
    const context = { id, model: model.id, hints, bodyBytes: body.bytes, fetchImages, warnings };
    const request = toChatRequest(wire, context);
    const repeats = mostRepeatedCall(request.messages);
    if (repeats >= suspectedLoop) {
      warnings.set(
        'tool_calls',
        `one call was made ${repeats} times with the same arguments, the agent may be in a loop`,
      );
    }
    return { request, warnings };
  };
}

/** Looks an id or `backend/model` up; @throws LfoError 404 or, where the key may name neither, 403. */
export function findModel(models: readonly ListedModel[], id: string, identity: KeyIdentity): ListedModel {
  const model = findListed(models, id);
  if (model === undefined) {
    throw new LfoError('This model does not exist here: GET /v1/models lists those that do.', {
      code: 'model_not_found',
      status: 404,
      param: 'model',
    });
  }
  // An alias reaches every model there is, so it too must be allowed by name.
  // Who may name a model may name the backend too; the list holds no such names.
  const name = models.includes(model) ? id : id.slice(id.indexOf('/') + 1);
  if (identity.models?.includes(id) === false && !identity.models.includes(name)) {
    throw new LfoError('This key may not use this model.', { code: 'model_not_allowed', status: 403, param: 'model' });
  }
  return model;
}
