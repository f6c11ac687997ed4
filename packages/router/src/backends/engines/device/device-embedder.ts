import { fromBase64url } from '@lfo/protocol';
import type { Embedder, EmbeddingAnswer, EmbeddingAsk, EmbeddingCall } from '../../../core/embedding.ts';
import { BackendError, RequestError } from '../../../core/errors.ts';
import { linkFault } from './device-fault.ts';
import type { DeviceLink } from './device-link.ts';
import { checkUsage } from './usage-check.ts';

/** Texts and characters of one message: its answer fits a frame, and another request gets its turn in between. */
const textsAtOnce = 16;
const charsAtOnce = 100_000;

/** A device as its embedder sees it; read for each request, since devices come and go. */
export interface EmbeddingDevice {
  readonly id: () => string;
  readonly models: () => readonly string[];
  readonly contextTokens: (model: string) => number | undefined;
  readonly link: () => Pick<DeviceLink, 'embed'> | undefined;
}

/** The embedding models of a device. */
export function embedderOf(device: EmbeddingDevice): Embedder {
  return {
    get models() {
      return device.models();
    },
    contextTokens: (model) => device.contextTokens(model),
    embed: (ask, call) => embed(device, ask, call),
  };
}

async function embed(
  device: EmbeddingDevice,
  { inputs, dimensions, truncate }: EmbeddingAsk,
  { model, signal }: EmbeddingCall,
): Promise<EmbeddingAnswer> {
  const vectors: Float32Array[] = [];
  let promptTokens: number | undefined = 0;
  for (const texts of inPieces(inputs.map(asText))) {
    const link = device.link();
    if (link === undefined) throw linkFault('unreachable', device.id());
    const { vectors: made, tokens } = await link.embed(texts, model, truncate, signal);
    if (made.length !== texts.length) throw linkFault('malformed', device.id());
    for (const text of made) vectors.push(checked(vectorOf(text), dimensions, device.id()));
    const counted = countedOf(tokens, texts);
    promptTokens = promptTokens === undefined || counted === undefined ? undefined : promptTokens + counted;
  }
  return { vectors, ...(promptTokens === undefined ? {} : { promptTokens }) };
}

/** What a device says that these texts took; undefined: nothing, or what cannot be. */
function countedOf(tokens: number, texts: readonly string[]): number | undefined {
  if (tokens < texts.length) return undefined;
  const requestBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const said = { prompt_tokens: tokens, completion_tokens: 0, cached_tokens: 0 };
  return checkUsage(said, { requestBytes, messages: texts.length, answerBytes: 0, calls: 0 }).promptTokens;
}

function asText(input: EmbeddingAsk['inputs'][number]): string {
  if (typeof input === 'string') return input;
  throw new RequestError('input: this model takes texts, not token ids; send strings.', { param: 'input' });
}

function* inPieces(texts: readonly string[]): Generator<readonly string[]> {
  let piece: string[] = [];
  let chars = 0;
  for (const text of texts) {
    if (piece.length === textsAtOnce || (piece.length > 0 && chars + text.length > charsAtOnce)) {
      yield piece;
      piece = [];
      chars = 0;
    }
    piece.push(text);
    chars += text.length;
  }
  if (piece.length > 0) yield piece;
}

/** Little-endian 32-bit floats. */
function vectorOf(text: string): Float32Array | undefined {
  const bytes = fromBase64url(text);
  if (bytes === undefined || bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(at * 4, true));
}

function checked(vector: Float32Array | undefined, dimensions: number | undefined, backend: string): Float32Array {
  if (vector === undefined) throw linkFault('malformed', backend);
  if (dimensions === undefined || dimensions === vector.length) return vector;
  throw new BackendError(`dimensions: vectors of this model have ${vector.length} numbers and no other length.`, {
    fault: 'rejected',
    backend,
    param: 'dimensions',
    code: 'invalid_value',
    source: 'lfo',
  });
}
