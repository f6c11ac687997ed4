import * as z from 'zod';

import { type BodyLimits, chatBodySchema } from './chat-body.ts';

/** The routes and the request schema as an OpenAPI 3.1 document, from the schema requests are really held to. */
export function openApiDocument(limits: BodyLimits) {
  const body = z.toJSONSchema(chatBodySchema(limits), { io: 'input', unrepresentable: 'any' });
  const chatBody = {
    required: true,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Chat' } } },
  };
  const get = (summary: string) => ({ get: { summary, responses: answers } });
  const post = (summary: string) => ({ post: { summary, requestBody: chatBody, responses: answers } });
  return {
    openapi: '3.1.0',
    info: { title: 'LocalFirst Orchestrator', version: '1' },
    paths: {
      '/v1/chat/completions': post('Answers a conversation, as one completion or as a stream of chunks.'),
      '/v1/route': post('Tells where a conversation would be answered and why, without answering it.'),
      '/v1/models': get('Lists the aliases and every configured model.'),
      '/v1/models/{id}': {
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
        ...get('Describes one model.'),
      },
      '/health': get('Whether the process serves.'),
      '/ready': get('Whether a request can be answered now.'),
    },
    components: {
      schemas: { Chat: body, Error: errorSchema },
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ key: [] }],
  };
}

const nullableString = { type: ['string', 'null'] };
const errorSchema = {
  type: 'object',
  required: ['error', 'source'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: nullableString,
        code: nullableString,
      },
    },
    source: { enum: ['lfo', 'upstream'] },
  },
};
const answers = {
  '200': { description: 'Done.' },
  default: {
    description: 'What went wrong and what to do next.',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  },
};
