import * as z from 'zod';
import { isPrivateBroadcast } from './addresses.ts';
import { camelKeys } from './camel-keys.ts';

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i, 'must be letters, digits, dots, dashes or underscores, at most 63')
  .describe('Unique; shown in metadata, headers and the dashboard.');
const models = z.array(z.string().min(1));
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https address' });
const concurrency = z.int().min(1).max(100_000).default(1000).describe('Requests at once.');
const embeddingModels = models.default([]).describe('Models that turn texts into vectors, for `/v1/embeddings`.');
const fallbackModels = models.default([]).describe('Other models of this backend, tried in order when one fails.');

/** Wake-on-LAN of a machine; the same for a server and for a device. */
export const wake = z.strictObject({
  mac: z
    .string()
    .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'must be six bytes in hex with colons')
    .describe('Hardware address of the machine.'),
  broadcast: z
    .ipv4()
    .refine(isPrivateBroadcast, 'must be private, link-local, loopback or 255.255.255.255')
    .default('255.255.255.255')
    .describe('Where the packet is sent.'),
  timeout_ms: z
    .int()
    .min(1_000)
    .max(600_000)
    .default(60_000)
    .describe('How long it may take to come; it counts as loading until then.'),
});

const openAiCompatibleEntry = z
  .strictObject({
    kind: z.literal('openai-compatible'),
    name,
    tier: z.enum(['local', 'cloud']).describe('`local` promises that the server is on your own network.'),
    base_url: httpUrl.describe('Address of the API, with its `/v1`.'),
    api_key: z.string().min(1).exactOptional().describe('Key of the server; several separated by commas take turns.'),
    models: models.default([]).describe("Models to offer, the default first; empty: the server's own list."),
    context_tokens: z.int().min(1).exactOptional().describe('Context length, where the server does not tell.'),
    capabilities: z
      .strictObject({
        tools: z.boolean().exactOptional(),
        logprobs: z.boolean().exactOptional(),
        json_schema: z.boolean().exactOptional(),
        images: z.boolean().exactOptional(),
        infill: z
          .boolean()
          .exactOptional()
          .describe(
            'Whether it fills in the middle of a text (`suffix` of completions); false for those that ignore it.',
          ),
      })
      .transform(camelKeys)
      .prefault({})
      .describe('What the server is known to offer; what is left out is assumed or found out.'),
    embedding_models: embeddingModels,
    concurrency,
    dialect: z.enum(['standard', 'google']).default('standard').describe('Which habits of a server to allow for.'),
    engine: z
      .enum(['vllm', 'sglang', 'llm-d', 'ray', 'dynamo'])
      .exactOptional()
      .describe(
        'What serves there: conversations keep to one of several alike, its own router is told of conversation and lane, and its queue is read where it says.',
      ),
    metrics_url: httpUrl
      .exactOptional()
      .describe(
        'Where the engine says how busy it is, in the format of Prometheus; default: `/metrics` of a local `vllm`, `sglang` or `dynamo`.',
      ),
    fallback_models: fallbackModels,
    wake: wake
      .transform(camelKeys)
      .exactOptional()
      .describe(
        'Wakes the machine of a local server when a request wants it and nothing else of the local tier is up.',
      ),
  })
  .transform(camelKeys)
  .describe('A server that speaks the OpenAI API: Ollama, llama-server, LM Studio, vLLM, OpenRouter …');

const lfoEntry = z
  .strictObject({
    kind: z.literal('lfo'),
    name,
    tier: z
      .enum(['local', 'cloud'])
      .describe('`local`: a site on your own network, which is asked for mode `local` whatever was asked here.'),
    base_url: httpUrl.describe('Its address, with or without `/v1`.'),
    api_key: z.string().min(1).exactOptional().describe('A key of it; for a site one that allows mode `local` alone.'),
    models: models.default([]).describe('Models to offer, the default first; empty: all that it lists of this tier.'),
    embedding_models: embeddingModels,
    concurrency,
    fallback_models: fallbackModels,
  })
  .transform(camelKeys)
  .transform((entry) => ({ ...entry, capabilities: {}, dialect: 'standard' as const }))
  .describe('Another LFO: a site with devices, or one that others share.');

/** What `GEMINI_MODEL` is when it is not set. */
export const geminiModel = 'gemini-2.5-flash';
/** The embedding model of a Gemini backend that names none. */
export const geminiEmbeddingModel = 'gemini-embedding-001';
/** What `GEMINI_BASE_URL` is when it is not set. */
export const geminiBaseUrl = 'https://generativelanguage.googleapis.com';

export const geminiEntry = z
  .strictObject({
    kind: z.literal('gemini'),
    name: name.default('gemini'),
    tier: z.literal('cloud').default('cloud'),
    base_url: httpUrl.exactOptional().describe('Address of the API without a version; default: `GEMINI_BASE_URL`.'),
    api_key: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Several separated by commas take turns; default: `GEMINI_API_KEY`.'),
    auth: z.enum(['api_key', 'bearer']).default('api_key').describe('How the key is sent: `bearer` for Vertex AI.'),
    models: models.default([]).describe('Models to offer, the default first; empty: `GEMINI_MODEL`.'),
    embedding_models: models
      .exactOptional()
      .describe(
        `Models that turn texts into vectors, for \`/v1/embeddings\`; default: \`${geminiEmbeddingModel}\`, with \`auth: bearer\` none.`,
      ),
    concurrency,
    fallback_models: fallbackModels,
  })
  .transform(camelKeys)
  .describe('Google Gemini.');

/** One entry of `backends` in the file. */
export const backendEntry = z.discriminatedUnion('kind', [openAiCompatibleEntry, lfoEntry, geminiEntry]);

export type OpenAiCompatibleEntry = z.output<typeof openAiCompatibleEntry>;
type LfoEntry = z.output<typeof lfoEntry>;
export type GeminiEntry = z.output<typeof geminiEntry>;
export type BackendEntry = OpenAiCompatibleEntry | LfoEntry | GeminiEntry;
