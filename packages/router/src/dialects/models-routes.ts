import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ListedModel } from '../core/exchange.ts';
import { anthropicModel, anthropicModels, anthropicPage } from './anthropic/models.ts';
import { listedModel, modelPage } from './gemini/models.ts';
import { modelListForm } from './model-list-form.ts';
import type { Serving } from './serving.ts';

/** `GET /v1/models` and one of them, in the form that the client's SDK reads. */
export function addModelRoutes(app: FastifyInstance, serving: Serving): void {
  const createdMs = serving.deps.clock.wallMs();
  const created = Math.floor(createdMs / 1000);
  const createdAt = new Date(created * 1000).toISOString();

  app.get('/v1/models', (request, reply) => {
    varying(reply);
    const models = serving.modelsOf(request);
    switch (modelListForm(request.headers)) {
      case 'anthropic':
        return anthropicPage(anthropicModels(models), queryOf(request), createdAt);
      case 'gemini':
        return modelPage(models, queryOf(request));
      default:
        // One agent reads a second list under another name and fails without it.
        return { object: 'list', data: models.map((model) => openAiModel(model, created)), models: [] };
    }
  });
  // Ids of real models have slashes.
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request, reply) => {
    varying(reply);
    const asked = request.params['*'];
    const { model } = serving.findModel(asked, request.identity);
    switch (modelListForm(request.headers)) {
      case 'anthropic':
        return anthropicModel({ ...model, id: asked }, createdAt);
      case 'gemini':
        return listedModel(model);
      default:
        return openAiModel(model, created);
    }
  });
}

function varying(reply: FastifyReply): void {
  void reply.header('vary', 'anthropic-version, x-goog-api-client, x-goog-api-key');
}

function queryOf({ query }: FastifyRequest): Readonly<Record<string, unknown>> {
  return typeof query === 'object' && query !== null ? { ...query } : {};
}

/** Unknown is absent: a client takes 0 or a guess for the truth. */
function openAiModel(model: ListedModel, created: number): object {
  const { id, ownedBy, tier, aliasOf, contextTokens, maxOutputTokens, capabilities, isLoaded, embeds } = model;
  return {
    id,
    object: 'model',
    created,
    owned_by: ownedBy,
    tier: tier ?? aliasOf ?? 'auto',
    ...(contextTokens !== undefined && {
      context_length: contextTokens,
      max_model_len: contextTokens,
      context_window: contextTokens,
    }),
    ...(maxOutputTokens !== undefined && { max_output_tokens: maxOutputTokens }),
    ...(embeds === true && { capabilities: ['embedding'] }),
    ...(embeds !== true && capabilities !== undefined && { capabilities: ['completion', ...capabilities] }),
    ...(isLoaded !== undefined && { loaded: isLoaded }),
  };
}
