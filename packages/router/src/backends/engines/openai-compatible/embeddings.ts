import type { Cancellation } from '../../../core/abort.ts';
import * as z from 'zod';
import type { Embedder, EmbeddingAnswer, EmbeddingAsk, EmbeddingCall } from '../../../core/embedding.ts';
import { BackendError } from '../../../core/errors.ts';
import { boundedTokens } from '../../../core/events.ts';
import type { KeyRing } from '../../key-ring.ts';
import { type Exchanges, StatusError } from './exchange.ts';

/** Texts of one call: what the strictest servers take. */
const textsAtOnce = 100;

const embeddings = z.object({
  data: z.array(z.object({ index: z.int().nonnegative().optional(), embedding: z.array(z.number()).min(1) })),
  usage: z.object({ prompt_tokens: z.number().optional() }).nullish().catch(undefined),
});

/** What the embedding models of one server are asked through. */
export interface EmbeddingServer {
  readonly backend: string;
  /** Those that it may be asked for now. */
  readonly models: () => readonly string[];
  readonly exchanges: Exchanges;
  /** Rejects where the texts would leave the network though they must not. */
  readonly stays: (model: string, signal: Cancellation) => Promise<void>;
  readonly keys: KeyRing;
  /** Tells the keys of a failure, and whether another one may do better. */
  readonly isOfTheKey: (error: StatusError, permit: ReturnType<KeyRing['take']>) => boolean;
}

/** `POST /embeddings` of any server that speaks OpenAI's API. */
export function openAiEmbedder(server: EmbeddingServer): Embedder {
  return {
    get models() {
      return server.models();
    },
    embed: (ask, call) => embed(server, ask, call),
  };
}

async function embed(server: EmbeddingServer, ask: EmbeddingAsk, call: EmbeddingCall): Promise<EmbeddingAnswer> {
  await server.stays(call.model, call.signal);
  const vectors: Float32Array[] = [];
  let promptTokens: number | undefined = 0;
  for (let at = 0; at < ask.inputs.length; at += textsAtOnce) {
    const piece = await embedPiece(server, { ...ask, inputs: ask.inputs.slice(at, at + textsAtOnce) }, call);
    vectors.push(...piece.vectors);
    promptTokens = sumOf(promptTokens, piece.promptTokens);
  }
  return { vectors, ...(promptTokens === undefined ? {} : { promptTokens }) };
}

async function embedPiece(server: EmbeddingServer, ask: EmbeddingAsk, call: EmbeddingCall): Promise<EmbeddingAnswer> {
  const { inputs, dimensions } = ask;
  const { model, signal } = call;
  const body = JSON.stringify({ model, input: inputs, encoding_format: 'float', dimensions });
  const read = embeddings.safeParse(await post(server, body, model, signal));
  if (!read.success) throw notEmbeddings(server.backend);
  const { data, usage } = read.data;
  // Most servers keep the order; the index is what is promised.
  const ordered = data.map((one, at) => ({ ...one, index: one.index ?? at })).toSorted((a, b) => a.index - b.index);
  if (ordered.length !== inputs.length || ordered.some(({ index }, at) => index !== at)) {
    throw notEmbeddings(server.backend);
  }
  const vectors = ordered.map(({ embedding }) => Float32Array.from(embedding));
  const length = vectors[0]?.length;
  if (dimensions !== undefined && length !== dimensions) throw ofOtherLength(server.backend, length);
  const counted = usage?.prompt_tokens;
  return { vectors, ...(counted === undefined ? {} : { promptTokens: boundedTokens(counted) }) };
}

async function post(
  { exchanges, keys, isOfTheKey }: EmbeddingServer,
  body: string,
  model: string,
  signal: Cancellation,
) {
  const tried = new Set<string | undefined>();
  for (let permit = keys.take(model); ; permit = keys.take(model, tried)) {
    try {
      const answer = await exchanges.send('/embeddings', permit.secret, signal, body);
      permit.succeeded();
      return await exchanges.json(answer);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (!isOfTheKey(error, permit) || tried.size + 1 >= keys.size) throw error.shown;
      tried.add(permit.secret);
    }
  }
}

function sumOf(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other;
}

function notEmbeddings(backend: string): BackendError {
  return new BackendError('The backend answered with something other than embeddings; check its base URL and model.', {
    fault: 'bad_answer',
    backend,
  });
}

/** A server that does not know the field leaves it aside: the vectors would not fit those that are stored. */
function ofOtherLength(backend: string, length: number | undefined): BackendError {
  return new BackendError(
    `dimensions: this model answers with vectors of ${length ?? 0} numbers whatever is asked; leave it out.`,
    { fault: 'rejected', backend, param: 'dimensions', code: 'invalid_value', source: 'lfo' },
  );
}
