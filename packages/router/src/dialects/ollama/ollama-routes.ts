import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { LfoError, RequestError } from '../../core/errors.ts';
import type { ListedModel, ModelCapability } from '../../core/exchange.ts';
import { isJsonObject } from '../../core/json.ts';
import type { Serving } from '../serving.ts';
import { readOllamaEmbed, readOllamaEmbeddings } from './embed.ts';
import { ollamaReaders, type ReadOllama, withoutLatest } from './read.ts';

/** Ollama's routes. Models are managed by `lfo models`, not through them. */
export function addOllamaRoutes(app: FastifyInstance, serving: Serving): void {
  const { clock } = serving.deps;
  const readers = ollamaReaders(serving.reading);
  const startedAt = new Date(clock.wallMs()).toISOString();

  app.get('/api/version', () => ({ version: serving.deps.ollamaVersion }));
  app.get('/api/tags', (request) => ({ models: serving.modelsOf(request).map((model) => tagOf(model, startedAt)) }));
  app.get('/api/ps', (request) => ({
    models: serving
      .modelsOf(request)
      .filter(({ tier, isLoaded }) => tier === 'local' && isLoaded !== false)
      .map((model) => ({
        ...tagOf(model, startedAt),
        size_vram: 0,
        expires_at: farFuture,
        ...(model.contextTokens !== undefined && { context_length: model.contextTokens }),
      })),
  }));
  app.post('/api/show', (request) => {
    const { value } = serving.received(request).body;
    const name = isJsonObject(value) ? (value['model'] ?? value['name']) : undefined;
    if (typeof name !== 'string' || name === '') {
      throw new RequestError('model: is required.', { code: 'missing_required_parameter', param: 'model' });
    }
    return shownModel(serving.findModel(withoutLatest(name), request.identity).model, startedAt);
  });

  for (const form of ['chat', 'generate'] as const) {
    app.post(`/api/${form}`, { onRequest: serving.admit }, (request, reply) => {
      const read: ReadOllama = readers[form](serving.received(request));
      if (!('doneReason' in read)) return serving.serve(request, reply, read);
      const { model, doneReason } = read;
      const head = { model, created_at: new Date(clock.wallMs()).toISOString() };
      const empty = form === 'chat' ? { message: { role: 'assistant', content: '' } } : { response: '' };
      return reply.send({ ...head, ...empty, done: true, done_reason: doneReason });
    });
  }
  app.post('/api/embed', { onRequest: serving.admit }, (request, reply) =>
    serving.embed(request, reply, readOllamaEmbed(serving.received(request), serving)),
  );
  app.post('/api/embeddings', { onRequest: serving.admit }, (request, reply) =>
    serving.embed(request, reply, readOllamaEmbeddings(serving.received(request), serving)),
  );
  const managing = {
    pull: 'POST',
    push: 'POST',
    create: 'POST',
    copy: 'POST',
    delete: 'DELETE',
    'blobs/:digest': 'POST',
  };
  for (const [name, method] of Object.entries(managing)) {
    app.route({
      method: name === 'blobs/:digest' ? [method, 'HEAD'] : method,
      url: `/api/${name}`,
      handler: () => {
        throw new LfoError('Models are not managed through this API: use "lfo models".', {
          code: 'not_supported',
          status: 501,
        });
      },
    });
  }
}

const farFuture = '2318-01-01T00:00:00Z';

function tagOf({ id, ownedBy }: ListedModel, modifiedAt: string): object {
  return {
    name: id,
    model: id,
    modified_at: modifiedAt,
    size: 0,
    digest: createHash('sha256').update(id).digest('hex'),
    details: detailsOf(ownedBy),
  };
}

function detailsOf(family: string): object {
  return { parent_model: '', format: 'gguf', family, families: [family], parameter_size: '', quantization_level: '' };
}

/** Its words for what a model can do. */
const ollamaNames: Readonly<Partial<Record<ModelCapability, string>>> = {
  tools: 'tools',
  vision: 'vision',
  reasoning: 'thinking',
  infill: 'insert',
};

function shownModel({ ownedBy, contextTokens, capabilities, embeds }: ListedModel, modifiedAt: string): object {
  const known: readonly ModelCapability[] = embeds === true ? [] : (capabilities ?? ['tools']);
  return {
    modified_at: modifiedAt,
    details: detailsOf(ownedBy),
    model_info: {
      'general.architecture': ownedBy,
      ...(contextTokens !== undefined && { [`${ownedBy}.context_length`]: contextTokens }),
    },
    capabilities: [embeds === true ? 'embedding' : 'completion', ...known.flatMap((name) => ollamaNames[name] ?? [])],
  };
}
