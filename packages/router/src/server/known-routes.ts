import type { FastifyInstance, FastifyRequest } from 'fastify';

import { nearest } from '../config/nearest.ts';
import { LfoError } from '../core/errors.ts';

/** Longer paths are nobody's slip of the pen. */
const maxComparedLength = 100;

/** The routes of a server, to say what is wrong with a request that meets none of them. */
export class KnownRoutes {
  /** Methods by pattern. */
  readonly #methods = new Map<string, Set<string>>();

  readonly #whyNotServed: ((path: string) => string | undefined) | undefined;

  /** Call before any route is added. */
  constructor(app: FastifyInstance, whyNotServed?: (path: string) => string | undefined) {
    this.#whyNotServed = whyNotServed;
    app.addHook('onRoute', ({ url, method }) => {
      const methods = this.#methods.get(url) ?? new Set();
      for (const one of [method].flat()) methods.add(one);
      this.#methods.set(url, methods);
    });
  }

  /** 405 where the path is served by another method, else 404 with what comes nearest to it. */
  missing(request: FastifyRequest): LfoError {
    const [path = ''] = request.url.split('?', 1);
    const allowed = this.#methodsAt(path);
    if (allowed.length > 0) {
      return new MethodNotAllowedError(
        `This address does not serve ${request.method}: use ${allowed.join(' or ')}.`,
        allowed,
      );
    }
    const why = this.#whyNotServed?.(path);
    const message = why ?? `There is nothing at this address.${this.#hint(path)} ${baseUrls(request)}`;
    return new LfoError(message, { code: 'not_found', status: 404 });
  }

  #methodsAt(path: string): readonly string[] {
    const found = new Set<string>();
    for (const [pattern, methods] of this.#methods) {
      if (matches(pattern, path)) for (const method of methods) found.add(method);
    }
    return [...found].toSorted();
  }

  #hint(path: string): string {
    if (path.length > maxComparedLength) return ' See /openapi.json.';
    const api = [...this.#methods.keys()].filter((pattern) => !/[*:]/.test(pattern));
    const found = nearest(path, api);
    if (found === undefined) return ' See /openapi.json for what there is.';
    const methods = [...(this.#methods.get(found) ?? [])].filter((method) => method !== 'HEAD');
    return ` Did you mean ${methods.join(' or ')} ${found}?`;
  }
}

/** The path is served, but not by this method; `allowed` belongs in the answer's Allow header. */
export class MethodNotAllowedError extends LfoError {
  override readonly name = 'MethodNotAllowedError';
  readonly allowed: readonly string[];

  constructor(message: string, allowed: readonly string[]) {
    super(message, { code: 'method_not_allowed', status: 405 });
    this.allowed = allowed;
  }
}

function matches(pattern: string, path: string): boolean {
  const [want, have] = [pattern.split('/'), path.split('/')];
  if (pattern.endsWith('*') ? have.length < want.length : have.length !== want.length) return false;
  return want.every(
    (part, index) => part === '*' || (part.startsWith(':') && have[index] !== '') || part === have[index],
  );
}

/** The commonest mistake is a base URL with `/v1` twice, or without it. */
function baseUrls({ protocol, host }: FastifyRequest): string {
  const origin = `${protocol}://${host}`;
  return `The base URL is ${origin}/v1 for OpenAI clients, ${origin} for those of Anthropic, Google and Ollama.`;
}
