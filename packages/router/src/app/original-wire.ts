import { isJsonObject, parseJson, type JsonObject, type JsonValue } from '../core/json.ts';

/** The wire of the program that LFO began as: one JSON object each way, over TCP or HTTP (device protocol 1, section 15). */

const defaultMaxTokens = 256;
const defaultTemperature = 0.7;

/** The request as a chat completion of the local tier, or what the original says is wrong with it. */
export function readOriginal(text: string): { readonly body: JsonObject } | { readonly error: string } {
  const asked = parseJson(text);
  if (!isJsonObject(asked)) return { error: 'Invalid JSON' };
  const { messages, max_tokens: maxTokens, temperature, tools } = asked;
  if (!Array.isArray(messages)) return { error: 'messages must be an array' };
  return {
    body: {
      model: 'lfo-local',
      messages,
      max_tokens: typeof maxTokens === 'number' ? maxTokens : defaultMaxTokens,
      temperature: typeof temperature === 'number' ? temperature : defaultTemperature,
      ...(Array.isArray(tools) && tools.length > 0 ? { tools: tools.map(nested) } : {}),
    },
  };
}

/** The answer in the original's words. `tookMs`: measured by whoever asked. */
export function originalAnswer(completion: JsonValue | undefined, tookMs: number): JsonObject {
  const body = isJsonObject(completion) ? completion : {};
  const { error } = body;
  if (isJsonObject(error) || !Array.isArray(body['choices'])) {
    return { error: isJsonObject(error) && typeof error['message'] === 'string' ? error['message'] : 'No answer.' };
  }
  const [choice] = body['choices'];
  const message = isJsonObject(choice) && isJsonObject(choice['message']) ? choice['message'] : {};
  const calls = Array.isArray(message['tool_calls']) ? message['tool_calls'].flatMap(calledOf) : [];
  const text = typeof message['content'] === 'string' ? message['content'] : '';
  const metadata = isJsonObject(body['lfo_metadata']) ? body['lfo_metadata'] : {};
  const { confidence, threshold } = metadata;
  const isUnsure = typeof confidence === 'number' && typeof threshold === 'number' && confidence < threshold;
  return {
    ...(text === '' && calls.length > 0 ? {} : { text }),
    ...(calls.length === 0 ? {} : { function_calls: calls }),
    ...(typeof confidence === 'number' ? { confidence } : {}),
    total_time_ms: Math.round(tookMs),
    cloud_handoff: isUnsure,
  };
}

/** Tools come as OpenAI nests them, or flat. */
function nested(tool: JsonValue): JsonValue {
  return isJsonObject(tool) && !('function' in tool) ? { type: 'function', function: tool } : tool;
}

function calledOf(call: JsonValue): readonly JsonObject[] {
  const called = isJsonObject(call) && isJsonObject(call['function']) ? call['function'] : undefined;
  if (called === undefined) return [];
  const { name = '', arguments: json } = called;
  return [{ name, arguments: (typeof json === 'string' ? parseJson(json) : undefined) ?? {} }];
}
