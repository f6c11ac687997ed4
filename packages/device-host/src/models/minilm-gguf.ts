import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { GrowingFile } from './growing-file.ts';
import { ModelError } from './model-error.ts';
import { text, u32, u64 } from './gguf-values.ts';

/** What of a model's `config.json` goes into the head of the file. */
const bertConfig = z.object({
  max_position_embeddings: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_attention_heads: z.int().positive(),
  layer_norm_eps: z.number().positive(),
  vocab_size: z.int().positive(),
  type_vocab_size: z.int().positive(),
});

type BertConfig = z.infer<typeof bertConfig>;

const tensorHeads = z.record(
  z.string(),
  z.union([
    z.object({
      dtype: z.literal('F32'),
      shape: z.array(z.int().nonnegative()),
      data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
    }),
    z.record(z.string(), z.unknown()),
  ]),
);

/** Numbers of the GGUF specification. */
const types = { u32: 4, i32: 5, f32: 6, bool: 7, text: 8, array: 9 } as const;
const f32 = 0;
const f16 = 1;
const alignment = 32;
const tokenKinds = { normal: 1, control: 3, unused: 5 } as const;
const meanPooling = 1;
const mostlyF16 = 1;

/**
 * Writes all-MiniLM-L6-v2 as GGUF, its matrices in 16 bits, out of the publisher's own files (`model.safetensors`,
 * `config.json`, `vocab.txt`), and gives its SHA-256 in hex: always the same bytes. Layout: GGUF version 3, names of
 * llama.cpp's `bert` architecture.
 * @throws ModelError `source` where the files are not those of such a model
 */
export async function writeMiniLm(folder: string, path: string, signal: AbortSignal): Promise<string> {
  const { config, vocabulary, tensors } = await readSource(folder);
  const file = await GrowingFile.open(path, signal);
  const weights = await open(join(folder, 'model.safetensors'));
  try {
    const head = headOf(config, vocabulary, tensors);
    await file.append(head);
    for (const tensor of tensors) await file.append(padded(await dataOf(tensor, weights)));
    return await file.finish();
  } finally {
    await Promise.all([weights.close(), file.close()]);
  }
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly isHalf: boolean;
  /** Where its 32-bit floats begin, and how many there are. */
  readonly at: number;
  readonly count: number;
}

async function readSource(folder: string) {
  try {
    const config = bertConfig.parse(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
    const words = (await readFile(join(folder, 'vocab.txt'), 'utf8')).split('\n').slice(0, config.vocab_size);
    return { config, vocabulary: words, tensors: await readTensors(join(folder, 'model.safetensors'), config) };
  } catch (error) {
    throw new ModelError('source', 'The package does not hold the model that was expected.', { cause: error });
  }
}

async function readTensors(path: string, config: BertConfig): Promise<readonly Tensor[]> {
  const handle = await open(path);
  try {
    const length = Buffer.alloc(8);
    await handle.read(length, 0, 8, 0);
    const bytes = Number(length.readBigUInt64LE());
    if (bytes > 1 << 24) throw new Error('no head');
    const text = Buffer.alloc(bytes);
    await handle.read(text, 0, bytes, 8);
    const heads = tensorHeads.parse(JSON.parse(text.toString('utf8')));
    const tensors: Tensor[] = [];
    for (const [theirs, ours] of tensorNames(config.num_hidden_layers)) {
      for (const part of ['weight', 'bias']) {
        const head = heads[`${theirs}.${part}`];
        if (head === undefined || !isTensor(head)) continue;
        const { shape, data_offsets } = head;
        const isHalf = shape.length > 1 && ours !== 'position_embd' && ours !== 'token_types';
        const [from, to] = data_offsets;
        tensors.push({ name: `${ours}.${part}`, shape, isHalf, at: 8 + bytes + from, count: (to - from) / 4 });
      }
    }
    return tensors;
  } finally {
    await handle.close();
  }
}

function isTensor(head: z.infer<typeof tensorHeads>[string]): head is {
  dtype: 'F32';
  shape: number[];
  data_offsets: [number, number];
} {
  return Array.isArray(head['shape']);
}

function tensorNames(layers: number): readonly (readonly [theirs: string, ours: string])[] {
  const names: [string, string][] = [
    ['embeddings.word_embeddings', 'token_embd'],
    ['embeddings.position_embeddings', 'position_embd'],
    ['embeddings.token_type_embeddings', 'token_types'],
    ['embeddings.LayerNorm', 'token_embd_norm'],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const [theirs, ours] = [`encoder.layer.${layer}.`, `blk.${layer}.`];
    names.push(
      [`${theirs}attention.self.query`, `${ours}attn_q`],
      [`${theirs}attention.self.key`, `${ours}attn_k`],
      [`${theirs}attention.self.value`, `${ours}attn_v`],
      [`${theirs}attention.output.dense`, `${ours}attn_output`],
      [`${theirs}attention.output.LayerNorm`, `${ours}attn_output_norm`],
      [`${theirs}intermediate.dense`, `${ours}ffn_up`],
      [`${theirs}output.dense`, `${ours}ffn_down`],
      [`${theirs}output.LayerNorm`, `${ours}layer_output_norm`],
    );
  }
  return names;
}

async function dataOf({ at, count, isHalf }: Tensor, weights: Awaited<ReturnType<typeof open>>): Promise<Uint8Array> {
  const floats = new Float32Array(count);
  await weights.read(new Uint8Array(floats.buffer), 0, count * 4, at);
  return new Uint8Array(isHalf ? new Float16Array(floats).buffer : floats.buffer);
}

function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % alignment;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(alignment - rest)]);
}

function headOf(config: BertConfig, vocabulary: readonly string[], tensors: readonly Tensor[]): Uint8Array {
  const values = valuesOf(config, vocabulary);
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(values.length), ...values];
  let offset = 0;
  for (const { name, shape, isHalf, count } of tensors) {
    parts.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(isHalf ? f16 : f32), u64(offset));
    offset += Math.ceil((count * (isHalf ? 2 : 4)) / alignment) * alignment;
  }
  return padded(Buffer.concat(parts));
}

function valuesOf(config: BertConfig, vocabulary: readonly string[]): readonly Buffer[] {
  const special = new Set(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
  const isUnused = (word: string): boolean => /^\[unused\d+\]$/.test(word);
  // A word's beginning is marked, where BERT marks its continuation.
  const tokens = vocabulary.map((word) =>
    special.has(word) || isUnused(word) ? word : word.startsWith('##') ? word.slice(2) : `\u2581${word}`,
  );
  const kinds = vocabulary.map((word) =>
    special.has(word) ? tokenKinds.control : isUnused(word) ? tokenKinds.unused : tokenKinds.normal,
  );
  const id = (word: string): Buffer => u32(vocabulary.indexOf(word));
  const number = (key: string, value: number): Buffer => pair(key, types.u32, u32(value));
  const flag = (key: string, value: boolean): Buffer => pair(key, types.bool, Buffer.from([value ? 1 : 0]));
  const words = (key: string, value: string): Buffer => pair(key, types.text, text(value));
  return [
    words('general.architecture', 'bert'),
    words('general.name', 'all-MiniLM-L6-v2'),
    words('general.license', 'apache-2.0'),
    number('bert.context_length', config.max_position_embeddings),
    number('bert.embedding_length', config.hidden_size),
    number('bert.block_count', config.num_hidden_layers),
    number('bert.feed_forward_length', config.intermediate_size),
    number('bert.attention.head_count', config.num_attention_heads),
    pair('bert.attention.layer_norm_epsilon', types.f32, float(config.layer_norm_eps)),
    flag('bert.attention.causal', false),
    number('bert.pooling_type', meanPooling),
    number('general.file_type', mostlyF16),
    words('tokenizer.ggml.model', 'bert'),
    words('tokenizer.ggml.pre', 'jina-v2-en'),
    pair('tokenizer.ggml.tokens', types.array, u32(types.text), u64(tokens.length), ...tokens.map(text)),
    number('tokenizer.ggml.token_type_count', config.type_vocab_size),
    pair('tokenizer.ggml.token_type', types.array, u32(types.i32), u64(kinds.length), ...kinds.map(u32)),
    pair('tokenizer.ggml.unknown_token_id', types.u32, id('[UNK]')),
    pair('tokenizer.ggml.seperator_token_id', types.u32, id('[SEP]')),
    pair('tokenizer.ggml.padding_token_id', types.u32, id('[PAD]')),
    pair('tokenizer.ggml.mask_token_id', types.u32, id('[MASK]')),
    pair('tokenizer.ggml.bos_token_id', types.u32, id('[CLS]')),
    pair('tokenizer.ggml.eos_token_id', types.u32, id('[SEP]')),
    flag('tokenizer.ggml.add_bos_token', true),
    flag('tokenizer.ggml.add_eos_token', true),
  ];
}

function pair(key: string, type: number, ...value: readonly Buffer[]): Buffer {
  return Buffer.concat([text(key), u32(type), ...value]);
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
