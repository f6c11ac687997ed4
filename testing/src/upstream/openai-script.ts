import type { Script } from './exchange.ts';
import { faults } from './faults.ts';
import { answerWith, hello, openaiRequestOf } from './openai-answer.ts';

/** The standing script: the model list, the fault the model name chooses, else a plain answer. */
export const openaiScript: Script = (exchange) => {
  if (exchange.request.method === 'GET') {
    return exchange.json(200, {
      object: 'list',
      data: [{ id: 'scripted', object: 'model', created: 0, owned_by: 'test', context_length: 4096 }],
    });
  }
  const { model, logprobs } = openaiRequestOf(exchange);
  const fault = Object.hasOwn(faults, model) ? faults[model] : undefined;
  if (fault !== undefined) return fault(exchange);
  if (model.startsWith('fault-'))
    return exchange.json(404, {
      error: {
        message: `No such fault: ${model}`,
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      },
    });
  return answerWith(logprobs ? { ...hello, logprobs: [-0.1, -0.2, -0.3, -0.4] } : hello)(exchange);
};
