import { createHash } from 'node:crypto';
import { ScriptedUpstream } from '../scripted-upstream.ts';
import type { Exchange } from './exchange.ts';
import { answerWith, hello, openaiRequestOf } from './openai-answer.ts';

/**
 * An Ollama as far as it hands models on: it lists all alike at `/v1/models`, says at `/api/tags` alone which run
 * elsewhere, and takes any spelling of a name.
 */
export class FakeOllama {
  readonly upstream: ScriptedUpstream;
  /** By name with tag; of those that are handed on, the cloud's name for it. */
  readonly models = new Map<string, string | undefined>();
  /** The models whose prompts it has sent to the cloud. */
  readonly sentOut: string[] = [];

  static async start(models: Readonly<Record<string, string | undefined>>): Promise<FakeOllama> {
    return new FakeOllama(await ScriptedUpstream.start(), models);
  }

  private constructor(upstream: ScriptedUpstream, models: Readonly<Record<string, string | undefined>>) {
    this.upstream = upstream;
    for (const [name, remote] of Object.entries(models)) this.models.set(name, remote);
    upstream.tags = (exchange) =>
      exchange.json(200, { models: [...this.models.keys()].map((name) => this.#tagOf(name)) });
    upstream.always((exchange) => this.#serve(exchange));
  }

  /** `ollama cp`. */
  copy(from: string, to: string): void {
    this.models.set(to, this.models.get(from));
  }

  get origin(): string {
    return this.upstream.origin;
  }

  #tagOf(name: string): object {
    const remote = this.models.get(name);
    return {
      name,
      model: name,
      ...(remote !== undefined && { remote_model: remote, remote_host: 'https://ollama.com:443' }),
      modified_at: '2026-11-01T10:00:00.5Z',
      size: remote === undefined ? 2_497_293_931 : 384,
      digest: createHash('sha256').update(name).digest('hex'),
      details: {
        parent_model: '',
        format: 'gguf',
        family: '',
        families: null,
        parameter_size: '',
        quantization_level: '',
      },
    };
  }

  async #serve(exchange: Exchange): Promise<void> {
    if (exchange.request.method === 'GET') {
      const data = [...this.models.keys()].map((id) => ({ id, object: 'model', created: 1, owned_by: ownerOf(id) }));
      return exchange.json(200, { object: 'list', data });
    }
    const { model } = openaiRequestOf(exchange);
    const name = [...this.models.keys()].find((known) => known.toLowerCase() === withTag(model.toLowerCase()));
    if (name === undefined) {
      return exchange.json(404, { error: { message: `model '${model}' not found`, type: 'not_found_error' } });
    }
    if (this.models.get(name) !== undefined) this.sentOut.push(name);
    if (exchange.request.path.endsWith('/embeddings')) {
      return exchange.json(200, {
        object: 'list',
        model,
        data: [{ object: 'embedding', index: 0, embedding: [1, 0] }],
      });
    }
    await answerWith(hello)(exchange);
  }
}

function withTag(model: string): string {
  return model.includes(':') ? model : `${model}:latest`;
}

function ownerOf(id: string): string {
  return id.includes('/') ? (id.split('/').at(-2) ?? '') : 'library';
}
