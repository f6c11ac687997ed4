import type { ChatRequest } from '../../../core/request.ts';
import type { GenerationContext } from './generation.ts';
import { jsonByInstruction, jsonInstruction, translateGeneration } from './generation.ts';
import type { MessageContext } from './messages.ts';
import { translateMessages } from './messages.ts';
import { translateTools } from './tools.ts';
import type { Content, GenerateContentBody, Part } from './wire.ts';

export type RequestContext = GenerationContext & Omit<MessageContext, 'modelMayComeLast'>;

/**
 * A chat request as a Gemini body. Pure: the request stays as it is, so that another backend may answer it later.
 * @throws RequestError for what no Gemini model of this family can be asked
 */
export function translateRequest(request: ChatRequest, context: RequestContext): GenerateContentBody {
  const { traits } = context;
  const tools = translateTools(request, traits, context.names, context.warn);
  const { names, signatures, sendsIds } = context;
  const { modelMayComeLast } = traits;
  const { safetySettings = [] } = request.google ?? {};
  const conversation = translateMessages(request.messages, { names, signatures, sendsIds, modelMayComeLast });
  const generationConfig = translateGeneration(request, context);
  const instructions = jsonByInstruction(request, traits)
    ? [...conversation.instructions, { text: jsonInstruction(request) }]
    : conversation.instructions;
  if (request.parallelToolCalls === false && request.tools.length > 0) {
    context.warn('parallel_tool_calls', 'Gemini cannot be held to one call; the first one is kept.');
  }
  return {
    ...placeInstructions(conversation.contents, instructions, traits.systemInstruction),
    ...tools,
    ...(safetySettings.length === 0 ? {} : { safetySettings }),
    ...(Object.keys(generationConfig).length === 0 ? {} : { generationConfig }),
  };
}

/** JSON text that is well-formed Unicode whatever the client sent: Google refuses lone surrogates. */
export function serialise(body: GenerateContentBody): string {
  const text = JSON.stringify(body);
  if (!text.includes('\\ud')) return text;
  return JSON.stringify(body, (_, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value));
}

function placeInstructions(
  contents: readonly Content[],
  instructions: readonly Part[],
  hasField: boolean,
): Pick<GenerateContentBody, 'contents' | 'systemInstruction'> {
  if (instructions.length === 0) return { contents };
  if (hasField) return { contents, systemInstruction: { parts: instructions } };
  const [first, ...rest] = contents;
  return { contents: [{ role: 'user', parts: [...instructions, ...(first?.parts ?? [])] }, ...rest] };
}
