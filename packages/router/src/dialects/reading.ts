import type { IncomingHttpHeaders } from 'node:http';
import type { LimitsConfig } from '../config/config.ts';
import { RequestError } from '../core/errors.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { JsonObject } from '../core/json.ts';
import type { Message, RoutingHints } from '../core/request.ts';
import type { ReceivedBody } from '../server/body-parser.ts';
import type { FindModel } from './find-model.ts';
import { readHints } from './mode.ts';
import { mostRepeatedCall, suspectedLoop } from './repeated-calls.ts';

/** One request as HTTP brought it. */
export interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: ReceivedBody;
  readonly identity: KeyIdentity;
}

/** What every reader works with. */
export interface ReaderDeps {
  readonly limits: LimitsConfig;
  readonly findModel: FindModel;
  /** System text without what would make each prompt differ from the one before. */
  readonly canonicalHead: (text: string) => string;
}

const defaultModel = 'lfo-auto';

/** What a body says of where it runs, in the words of every wire. */
export interface Addressed {
  readonly model: string | null | undefined;
  readonly metadata?: JsonObject | null | undefined;
  /** The client's own name for its conversation. */
  readonly conversation?: string | null | undefined;
  /** Wanted when there is room (`service_tier: flex`). */
  readonly isPatient?: boolean;
  readonly isStream: boolean;
}

/** A model as the client named it. */
export interface AskedModel {
  /** As the client wrote it, for wires that echo it. */
  readonly askedModel: string;
  /** Pattern of the rule that gave an unknown name its mode; absent: the name is known. */
  readonly nameRule?: string;
}

/** The model and the routing that a request asks for. */
export interface Address extends AskedModel {
  /** A listed id; aliases are resolved in routing. */
  readonly model: string;
  readonly hints: RoutingHints;
  /** `http(s)` image URLs are passed on. */
  readonly fetchImages: boolean;
}

/** @throws RequestError whose param names the field or header; LfoError 403 or 404 */
export function addressOf(received: Received, said: Addressed, { limits, findModel }: ReaderDeps): Address {
  const { headers, identity } = received;
  const askedModel = said.model ?? identity.models?.[0] ?? defaultModel;
  const { model, nameRule } = findModel(askedModel, identity);
  if (model.embeds === true) {
    throw new RequestError(
      `model: ${model.id} makes embeddings and does not chat; ask for lfo-auto, or send texts to /v1/embeddings.`,
      { code: 'model_not_chat', param: 'model' },
    );
  }
  const hints = readHints({
    headers,
    metadata: said.metadata,
    model,
    identity,
    conversation: said.conversation ?? undefined,
    isPatient: said.isPatient === true,
    isStream: said.isStream,
  });
  // Whoever fetched one would send a packet out.
  return {
    model: model.id,
    askedModel,
    ...(nameRule !== undefined && { nameRule: nameRule.match }),
    hints: askedModel === model.id ? hints : { ...hints, askedModel },
    fetchImages: limits.fetchImages && hints.mode !== 'local',
  };
}

/** Names a conversation that goes in circles. */
export function warnOfLoops(messages: readonly Message[], warnings: Map<string, string>): void {
  if (!mayRepeat(messages)) return;
  const repeats = mostRepeatedCall(messages);
  if (repeats < suspectedLoop) return;
  warnings.set('tool_calls', `one call was made ${repeats} times with the same arguments, the agent may be in a loop`);
}

/** Whether some tool was called often enough; cheaper than to compare the calls. */
function mayRepeat(messages: readonly Message[]): boolean {
  let calls: Map<string, number> | undefined;
  for (const message of messages) {
    if (message.role !== 'assistant') continue;
    for (const { name } of message.toolCalls) {
      calls ??= new Map();
      const count = (calls.get(name) ?? 0) + 1;
      if (count >= suspectedLoop) return true;
      calls.set(name, count);
    }
  }
  return false;
}
