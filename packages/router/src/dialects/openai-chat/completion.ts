import type { ChatRequest, Sampling } from '../../core/request.ts';
import { type CollectedAnswer, type CollectedCall } from '../collected-answer.ts';
import { wireUsage } from '../usage.ts';
import { wireLogprobs } from './logprobs.ts';

/**
 * One answer as a chat completion.
 * @throws LfoError where the answer has no end, or a call in it has none
 */
export function completionBody(answer: CollectedAnswer, request: ChatRequest, id: string, createdS: number) {
  const { finish, reason } = answer.end();
  const isLegacy = request.legacyFunctions === true;
  return {
    id,
    object: 'chat.completion',
    created: createdS,
    model: answer.model,
    choices: [
      {
        index: 0,
        message: message(answer, isLegacy),
        logprobs: logprobsOf(answer, request.sampling),
        finish_reason: isLegacy && reason === 'tool_calls' ? 'function_call' : reason,
      },
    ],
    usage: wireUsage(finish.usage),
  };
}

function logprobsOf({ scores }: CollectedAnswer, { logprobs, topLogprobs }: Sampling) {
  return logprobs ? { content: wireLogprobs(scores, topLogprobs ?? 0), refusal: null } : null;
}

function message({ calls, text, refusal, reasoning, images }: CollectedAnswer, isLegacy: boolean) {
  const [first] = calls;
  const said = text !== '' || (first === undefined && refusal === '' && images.length === 0);
  return {
    role: 'assistant',
    content: said ? text : null,
    refusal: refusal === '' ? null : refusal,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(images.length > 0 && { images: images.map(imageBody) }),
    ...(isLegacy && first !== undefined && { function_call: functionBody(first) }),
    ...(!isLegacy && first !== undefined && { tool_calls: calls.map(toolCallBody) }),
  };
}

function toolCallBody(call: CollectedCall) {
  return {
    id: call.id,
    type: 'function',
    function: functionBody(call),
    ...(call.thoughtSignature !== undefined && signatureBody(call.thoughtSignature)),
  };
}

function functionBody({ name, arguments: json }: CollectedCall) {
  return { name, arguments: json };
}

/** As gateways in front of image models write it: OpenAI's own wire has no place for it. */
export function imageBody(url: string) {
  return { type: 'image_url', image_url: { url } };
}

/** Where Google's own compatible layer puts it, and so where clients look for it to send it back. */
export function signatureBody(signature: string) {
  return { extra_content: { google: { thought_signature: signature } } };
}
