import { text, u32, u64 } from '@lfo/device-host/src/models/gguf-values.ts';

/** What a tiny model says of itself. */
export interface TinyGgufOptions {
  readonly architecture?: string;
  readonly contextTokens?: number;
  /** `general.file_type`; 2 is Q4_0. */
  readonly fileType?: number;
  /** Elements of its one F32 tensor: 4 bytes each. */
  readonly elements?: number;
  /** Entries of its vocabulary, to make the head as long as wanted. */
  readonly vocabulary?: number;
}

/** A valid GGUF file, version 3, with one tensor; no engine would answer with it. */
export function tinyGguf(options: TinyGgufOptions = {}): Buffer {
  const { architecture = 'llama', contextTokens = 2048, fileType = 2, elements = 64, vocabulary = 3 } = options;
  const tokens = Array.from({ length: vocabulary }, (_, index) => text(`token-${index}`));
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(1),
    u64(4),
    text('general.architecture'),
    u32(8),
    text(architecture),
    text('tokenizer.ggml.tokens'),
    u32(9),
    u32(8),
    u64(vocabulary),
    ...tokens,
    text('general.file_type'),
    u32(4),
    u32(fileType),
    text(`${architecture}.context_length`),
    u32(4),
    u32(contextTokens),
    text('token_embd.weight'),
    u32(1),
    u64(elements),
    u32(0),
    u64(0),
  ]);
  const padding = Buffer.alloc((32 - (head.length % 32)) % 32);
  const tensor = Buffer.from(Array.from({ length: elements * 4 }, (_, index) => (index * 31) % 251));
  return Buffer.concat([head, padding, tensor]);
}
