import * as z from 'zod';
import { minFrameBytes } from '../frame.ts';
import { textCodec } from '../text-codec.ts';
import { exactHints, tolerantHints, type Hints } from './hints.ts';
import { bye, count, errorCodes, part, pauseCodes, ping, pong, randomId, requestId } from './shapes.ts';
import type { DeviceErrorCode } from './shapes.ts';

/** Names of models; others are dropped, since ids go into URLs, logs and names of devices. */
export const modelIdPattern = /^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,99}$/;
/** What a device may say of one of its models' abilities. */
export const modelCapabilities = [
  'tools',
  'tools_only',
  'json_schema',
  'scores',
  'images',
  'count',
  'prefill',
  'embedding',
  'text',
  'infill',
] as const;
/** Most bytes of JSON of a `self_report`; a larger one is absent. */
export const selfReportBytes = 1024;
/** Whole numbers, bounds included, of what a device says; out of them a value is absent. */
export const deviceBounds = {
  name: 64,
  app: 100,
  os: 100,
  engine: 50,
  why: 200,
  errorMessage: 300,
  models: 32,
  features: 32,
  caps: 16,
  warm: 16,
  slots: [1, 64],
  queueMax: [0, 64],
  ctx: [256, 4_194_304],
  batteryPct: [0, 100],
  thermalStatus: [0, 6],
} as const;

const bounds = deviceBounds;
const codec = textCodec();

function schemas(hints: Hints) {
  const { text, integer, number, boolean, oneOf, whole, items, list, or } = hints;
  const milliseconds = integer(0, 86_400_000);
  const rate = number(0);
  const loadMs = integer(0, 3_600_000);
  const slots = or(z.number().int().min(bounds.slots[0]).max(bounds.slots[1]), 1);
  const usage = whole(
    z.object({ prompt_tokens: integer(0), completion_tokens: integer(0), cached_tokens: integer(0) }),
  );
  const offer = z.object({
    id: z.string().regex(modelIdPattern),
    ctx: integer(...bounds.ctx),
    caps: or(items(z.string(), bounds.caps), []).transform((caps) =>
      modelCapabilities.filter((known) => caps.includes(known)),
    ),
    /** Number of weights. */
    params: number(0),
    quant: text(50),
    family: text(50),
    /** First 16 hex digits of the SHA-256 of the chat template. */
    template: whole(z.string().regex(/^[0-9a-f]{16}$/)),
    resident: or(z.boolean(), false),
    load_ms: loadMs,
    slots,
  });
  const modelState = z.object({
    id: z.string().regex(modelIdPattern),
    resident: or(z.boolean(), false),
    slots,
    active: or(count, 0),
    queued: or(count, 0),
    queued_tokens: integer(0),
    /** Tokens per second, measured on real requests. */
    tps: whole(z.object({ prefill: rate, decode: rate })),
    /** Prefixes in its caches, by the hashes the router gave. */
    warm: list(z.object({ h: z.string().max(64), tokens: count }), bounds.warm),
  });
  const error = z.object({
    t: z.literal('error'),
    id: requestId.optional(),
    /** Only with the end of a `complete`. */
    n: count.optional(),
    code: or(z.string().transform(knownCode), 'internal'),
    message: or(text(bounds.errorMessage), '').transform((said) => said ?? ''),
    retryable: or(z.boolean(), false),
    retry_after_ms: milliseconds,
    usage,
  });
  return [
    z.object({
      t: z.literal('hello'),
      v: z.array(z.number().int()),
      name: text(bounds.name),
      app: text(bounds.app),
      os: text(bounds.os),
      engine: whole(z.object({ name: text(bounds.engine), version: text(bounds.engine) })),
      models: items(offer, bounds.models),
      queue_max: or(z.number().int().min(bounds.queueMax[0]).max(bounds.queueMax[1]), 0),
      max_frame: z.number().int().min(minFrameBytes),
      features: or(items(z.string().max(50), bounds.features), []),
      boot: randomId,
      session: whole(z.object({ id: randomId, requests: z.array(z.object({ id: requestId, n: count })).max(1024) })),
      wake: whole(z.object({ mac: z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i) })),
    }),
    z.object({
      t: z.literal('state'),
      seq: count,
      accepting: z.boolean(),
      code: oneOf(pauseCodes),
      /** Why it does not accept, in words for its owner. */
      why: text(bounds.why),
      retry_after_ms: milliseconds,
      models: items(modelState, bounds.models),
      battery: whole(
        z.object({
          pct: z.number().min(bounds.batteryPct[0]).max(bounds.batteryPct[1]),
          charging: z.boolean(),
          saver: boolean(),
        }),
      ),
      thermal: whole(
        z.object({
          status: z.number().int().min(bounds.thermalStatus[0]).max(bounds.thermalStatus[1]),
          headroom: number(-1000, 1000),
        }),
      ),
      mem_free_mb: number(0),
      load: number(0),
      net: text(20),
    }),
    z.object({ t: z.literal('models'), models: items(offer, bounds.models) }),
    z.object({ t: z.literal('accepted'), id: requestId, position: or(count, 0), eta_ms: milliseconds }),
    z.object({
      t: z.literal('progress'),
      id: requestId.optional(),
      phase: or(z.enum(['download', 'load', 'prefill']), 'load'),
      done: or(z.number().nonnegative(), 0),
      total: or(z.number().nonnegative(), 0),
      /** What is being fetched or loaded. */
      what: text(100),
    }),
    /** `n` numbers what is said of one request, its end included, from 0 without gaps. */
    z.object({ t: z.literal('delta'), id: requestId, n: count, parts: z.array(part) }),
    z.object({
      t: z.literal('done'),
      id: requestId,
      n: count,
      finish_reason: or(z.enum(['stop', 'length', 'tool_calls']), 'stop'),
      /** Why a `length` is not the limit's doing. */
      cut: oneOf(['repetition']),
      usage,
      timing: whole(z.object({ ttft_ms: rate, prefill_tps: rate, decode_tps: rate })),
      /** What the engine says of its answer, as it came; `readSelfReport` takes what is usable out of it. */
      self_report: whole(z.unknown().refine(isSmall)),
    }),
    error,
    z.object({ t: z.literal('counted'), id: requestId, tokens: count, warm: integer(0) }),
    /** One vector for each input, in their order: 32-bit floats, little-endian, as base64url; of unit length. */
    z.object({
      t: z.literal('embedded'),
      id: requestId,
      vectors: z.array(z.string().regex(/^[A-Za-z0-9_-]+$/)),
      tokens: or(count, 0),
    }),
    z.object({ t: z.literal('ok'), id: requestId }),
    ping,
    pong,
    bye,
  ] as const;
}

/** A code of a later version is a failure of the device, whatever it means there. */
function knownCode(code: string): DeviceErrorCode {
  return errorCodes.find((known) => known === code) ?? 'internal';
}

/** A report is any JSON of a kilobyte but null, which says nothing. */
function isSmall(report: unknown): boolean {
  return report !== null && codec.encode(JSON.stringify(report) ?? '').length <= selfReportBytes;
}

/** What a device sends, as it is to be. Unknown fields are dropped. */
export const exactDeviceMessage = z.discriminatedUnion('t', schemas(exactHints));
/** What a device sends, as it is taken: whatever is not needed and does not fit is cut or absent. */
export const deviceMessage = z.discriminatedUnion('t', schemas(tolerantHints));

const usableReport = z
  .object({
    confidence: z.number().min(0).max(1).optional().catch(undefined),
    handoff: z.boolean().optional().catch(undefined),
  })
  .catch({});

/** What of a self-report is usable: a confidence in 0..1, a hand-off that is true or false. */
export function readSelfReport(report: unknown): { readonly confidence?: number; readonly handOff?: boolean } {
  const { confidence, handoff } = usableReport.parse(report);
  return {
    ...(confidence === undefined ? {} : { confidence }),
    ...(handoff === undefined ? {} : { handOff: handoff }),
  };
}
