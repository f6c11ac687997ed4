import type { HttpBackendConfig } from '../../../config/config.ts';
import { conversationOf } from '../../../core/conversation.ts';
import type { ChatRequest } from '../../../core/request.ts';
import type { OpaqueIds } from '../../opaque-ids.ts';

type Engine = NonNullable<HttpBackendConfig['engine']>;

/** By which header the router of each engine keeps a conversation where its cache is. */
const sessionHeaders: Readonly<Record<Engine, readonly string[]>> = {
  vllm: ['x-session-id'],
  sglang: ['x-smg-routing-key'],
  'llm-d': ['x-session-id'],
  ray: ['x-session-id'],
  dynamo: ['x-dynamo-session-id'],
};

/** What the router before an engine is told of a request; ids of ours leave as digests alone. */
export function headersForEngine(
  engine: Engine,
  request: ChatRequest,
  opaque: OpaqueIds,
): Readonly<Record<string, string>> {
  const { clientKey = '', lane = 'interactive' } = request.hints;
  const headers: Record<string, string> = { 'x-request-id': request.id };
  const session = opaque(conversationOf(request));
  for (const name of sessionHeaders[engine]) headers[name] = session;
  // The production stack routes by user where it is told to.
  if (engine === 'vllm') headers['x-user-id'] = opaque(clientKey);
  if (engine === 'llm-d') {
    headers['x-gateway-inference-objective'] = lane;
    headers['x-gateway-inference-fairness-id'] = opaque(clientKey);
  }
  return headers;
}
