import * as z from 'zod';

import { feedbackBody } from '../core/feedback-body.ts';
import { type BodyLimits, chatBodySchema } from '../dialects/openai-chat/chat-body.ts';
import { answerSchemas } from '../dialects/openai-chat/openapi-schemas.ts';

type SchemaName = keyof typeof answerSchemas | 'Chat' | 'FeedbackRequest';

/** Routes of other vendors' APIs, whose own documents say what their bodies hold. */
function wire(method: 'get' | 'post' | 'delete', path: string, summary: string) {
  const parameters = path.includes('{id}')
    ? { parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }] }
    : {};
  return { path, item: { ...parameters, [method]: operation(method, summary) } };
}

function operation(method: 'get' | 'post' | 'delete', summary: string) {
  const content = { 'application/json': { schema: { type: 'object' } } };
  return {
    summary,
    ...(method === 'post' && { requestBody: { required: true, content } }),
    responses: {
      '200': { description: 'As the API it belongs to describes it.', content },
      default: { description: 'An error in the form of that API.', content },
    },
  };
}

/** A route of the admin scope. */
function admin(
  method: 'get' | 'post' | 'patch' | 'delete',
  path: string,
  summary: string,
  status: 200 | 201 | 204,
  ...codes: (keyof typeof meanings)[]
) {
  const idParameter = { name: 'id', in: 'path', required: true, schema: { type: 'string' } };
  const content = { 'application/json': { schema: { type: 'object' } } };
  const hasBody = method === 'patch' || path.endsWith('/pairings');
  return {
    path,
    item: {
      ...(path.includes('{id}') && { parameters: [idParameter] }),
      [method]: {
        summary,
        ...(hasBody && { requestBody: { required: method === 'patch', content } }),
        responses: {
          [String(status)]: { description: 'Done.', ...(status !== 204 && { content }) },
          ...errors(401, 403, ...codes),
        },
      },
    },
  };
}

/** Several methods of one path are one item. */
function joined(items: readonly { readonly path: string; readonly item: object }[]): Readonly<Record<string, object>> {
  const paths: Record<string, object> = {};
  for (const { path, item } of items) paths[path] = { ...paths[path], ...item };
  return paths;
}

const notStored = 'Answers that nothing is stored here.';
const managed = 'Answers that models are managed by the command line.';
const otherWires = joined([
  wire('get', '/', 'Names what is here; leads browsers to the dashboard.'),
  wire('post', '/v1/completions', 'OpenAI completions, the older form: continues a prompt.'),
  wire('post', '/v1/embeddings', 'OpenAI embeddings: turns texts into vectors.'),
  wire('post', '/api/embed', 'Ollama: turns texts into vectors.'),
  wire('post', '/api/embeddings', 'Ollama: turns one text into a vector.'),
  wire('post', '/v1/responses', 'OpenAI Responses: answers a conversation, whole or as events.'),
  wire('get', '/v1/responses', 'Answers that responses are not served over WebSocket.'),
  wire('post', '/v1/responses/input_tokens', 'OpenAI Responses: counts the tokens of a request.'),
  wire('get', '/v1/responses/{id}', notStored),
  wire('post', '/v1/responses/{id}', notStored),
  wire('delete', '/v1/responses/{id}', notStored),
  wire('post', '/v1/messages', 'Anthropic Messages: answers a conversation, whole or as events.'),
  wire('post', '/v1/messages/count_tokens', 'Anthropic Messages: counts the tokens of a request.'),
  wire('get', '/v1beta/models', 'Gemini: lists the models.'),
  wire('get', '/v1beta/models/{id}', 'Gemini: describes one model.'),
  wire(
    'post',
    '/v1beta/models/{id}',
    'Gemini: the methods generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents.',
  ),
  wire('get', '/api/version', 'Ollama: its version.'),
  wire('get', '/api/tags', 'Ollama: lists the models.'),
  wire('get', '/api/ps', 'Ollama: lists the models in memory.'),
  wire('post', '/api/show', 'Ollama: describes one model.'),
  wire('post', '/api/chat', 'Ollama: answers a conversation, whole or as lines.'),
  wire('post', '/api/generate', 'Ollama: answers a prompt, whole or as lines.'),
  wire('post', '/api/pull', managed),
  wire('post', '/api/push', managed),
  wire('post', '/api/create', managed),
  wire('post', '/api/copy', managed),
  wire('delete', '/api/delete', managed),
  wire('post', '/api/blobs/{digest}', managed),
]);

const device = '/admin/devices/{id}';
const adminRoutes = (): Readonly<Record<string, object>> =>
  joined([
    admin('get', '/admin/routers', 'Lists the living routers on this database.', 200),
    admin('get', '/admin/devices', 'Lists the paired devices.', 200),
    admin(
      'post',
      '/admin/devices/pairings',
      'Begins a pairing: with a code to show, or by dialling.',
      201,
      400,
      409,
      429,
    ),
    admin('get', '/admin/devices/pairings/{id}', 'How a pairing stands.', 200, 404),
    admin('delete', '/admin/devices/pairings/{id}', 'Cancels a pairing.', 204, 404),
    admin('get', '/admin/settings', 'What may be changed while LFO runs, and how the goals stand.', 200),
    admin('patch', '/admin/settings/{id}', 'Overrides a setting: {"value": …}.', 200, 400, 404, 409),
    admin('delete', '/admin/settings/{id}', 'Takes the override back.', 200, 404, 409),
    admin('get', device, 'Shows one device.', 200, 404),
    admin('patch', device, "Changes a device's name or where it is dialled.", 200, 400, 404, 409),
    admin('delete', device, 'Revokes the key of a device.', 204, 404),
    admin('post', `${device}/drain`, 'Gives a device nothing new.', 204, 404),
    admin('post', `${device}/resume`, 'Uses a device again.', 204, 404),
    admin('post', `${device}/load`, 'Has a device read its model into memory.', 204, 404, 409, 503),
    admin('post', `${device}/unload`, 'Has a device give the memory of its model back.', 204, 404, 409, 503),
  ]);

/**
 * Every public route as an OpenAPI 3.1 document, the schemas of bodies made from what they are really held to. The
 * dashboard's own routes are no interface and are left out.
 */
export function openApiDocument(limits: BodyLimits) {
  return {
    openapi: '3.1.0',
    info: { title: 'LocalFirst Orchestrator', version: '1' },
    paths: {
      '/v1/chat/completions': {
        post: {
          summary: 'Answers a conversation, as one completion or as a stream of chunks.',
          parameters: [modeHeader, deadlineHeader],
          requestBody: body('Chat'),
          responses: { '200': answered, ...errors(400, 401, 403, 404, 413, 415, 429, 499, 502, 503, 504) },
        },
      },
      '/v1/route': {
        post: {
          summary: 'Tells where a conversation would be answered and why, without answering it.',
          parameters: [modeHeader],
          requestBody: body('Chat'),
          responses: { '200': json('The decision.', 'Route'), ...errors(400, 401, 403, 404, 413, 415) },
        },
      },
      '/v1/models': {
        get: {
          summary: 'Lists the aliases and every configured model that the key may use.',
          responses: { '200': json('The models.', 'ModelList'), ...errors(401, 403) },
        },
      },
      '/v1/models/{id}': {
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
        get: {
          summary: 'Describes one model.',
          responses: { '200': json('The model.', 'Model'), ...errors(401, 403, 404) },
        },
        post: operation('post', 'Gemini: the same methods, for SDKs that ask here.'),
      },
      ...otherWires,
      ...adminRoutes(),
      '/v1/feedback': {
        post: {
          summary: "Judges an answer to one of the key's own requests; the admin scope may judge every one.",
          requestBody: body('FeedbackRequest'),
          responses: { '200': json('As it was stored.', 'Feedback'), ...errors(400, 401, 403, 404, 415, 503) },
        },
      },
      '/health': {
        get: {
          summary: 'Whether the process serves; needs no key.',
          security: [],
          responses: { '200': json('It serves.', 'Health'), '503': json('It is ending.', 'Health') },
        },
      },
      '/device.tgz': {
        get: {
          summary: 'The device host as a file for npm, without a key, while a pairing is open on the network.',
          security: [],
          responses: {
            '200': { description: 'The file.', content: { 'application/gzip': { schema: { type: 'string' } } } },
            ...errors(401, 404),
          },
        },
      },
      '/ready': {
        get: {
          summary: 'Whether a request can be answered now; needs no key, but only with one it tells why not.',
          security: [],
          responses: {
            '200': json('It can.', 'Readiness'),
            '503': json('It cannot yet, or not any more.', 'Readiness'),
            ...errors(401),
          },
        },
      },
      '/metrics': {
        get: {
          summary: "Counters and gauges in Prometheus' text format; needs the admin scope.",
          responses: {
            '200': { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
            ...errors(401, 403),
          },
        },
      },
      '/openapi.json': {
        get: {
          summary: 'This document.',
          responses: {
            '200': { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } },
            ...errors(401),
          },
        },
      },
    },
    components: {
      schemas: { Chat: published(chatBodySchema(limits)), FeedbackRequest: published(feedbackBody), ...answerSchemas },
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ key: [] }],
  };
}

const published = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
const ref = (name: SchemaName) => ({ schema: { $ref: `#/components/schemas/${name}` } });
const json = (description: string, name: SchemaName) => ({
  description,
  content: { 'application/json': ref(name) },
});
const body = (name: SchemaName) => ({ required: true, content: { 'application/json': ref(name) } });

const header = (description: string) => ({ description, schema: { type: 'string' } });
const answerHeaders = {
  'x-request-id': header('Names the request in records, logs and traces, and to feedback.'),
  'x-lfo-egress': header(
    '`none` where nothing left the local network, else the cloud backends that were given the prompt, joined by commas; `undecided` in a stream whose head had to leave before that was known, and where `gate.shadow_rate` may ask the cloud afterwards.',
  ),
};
const answered = {
  description: 'The answer: whole, or where `stream` is true as chunks and a last `[DONE]`.',
  headers: answerHeaders,
  content: { 'application/json': ref('Completion'), 'text/event-stream': ref('Chunk') },
};
const modeHeader = {
  name: 'x-lfo-mode',
  in: 'header',
  schema: { enum: ['local', 'auto', 'cloud'] },
  description: 'Where the request may run; `local` never leaves your own network.',
};
const deadlineHeader = {
  name: 'x-lfo-deadline-ms',
  in: 'header',
  schema: { type: 'integer', minimum: 1 },
  description: 'Milliseconds after which no answer is wanted any more.',
};

const meanings = {
  400: 'The request is not well formed, or asks for too much; `param` names where.',
  401: 'A key is missing or wrong.',
  403: 'The key, the host or the origin is not allowed here.',
  404: 'There is no such model, request or address.',
  413: 'The body is too large.',
  415: 'The body is not JSON, or is compressed.',
  429: 'A limit is reached; `retry-after` says when to come back.',
  409: 'It conflicts with what is there already.',
  499: 'The client left.',
  502: 'A backend failed.',
  503: 'No backend can take it now; `retry-after` says when to come back.',
  504: 'The time is over.',
} as const;

function errors(...statuses: readonly (keyof typeof meanings)[]) {
  return Object.fromEntries(statuses.map((status) => [String(status), json(meanings[status], 'Error')]));
}
