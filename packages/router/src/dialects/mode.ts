import type { IncomingHttpHeaders } from 'node:http';

import { LfoError, RequestError } from '../core/errors.ts';
import type { ListedModel } from '../core/exchange.ts';
import type { JsonObject, JsonValue } from '../core/json.ts';
import { type CallingRouter, maxHops, type Mode, type RoutingHints, type Tier } from '../core/request.ts';
import type { KeyIdentity } from '../core/identity.ts';

/** What of a request speaks about where and how it should run. */
export interface HintSources {
  readonly headers: IncomingHttpHeaders;
  readonly metadata: JsonObject | null | undefined;
  /** The id asked for, already looked up. */
  readonly model: ListedModel;
  readonly identity: KeyIdentity;
  /** The client's own name for its conversation (`prompt_cache_key`, else `user`). */
  readonly conversation: string | undefined;
  /** The body says that it may wait; the header has the last word. */
  readonly isPatient?: boolean;
  readonly isStream: boolean;
}

const maxMetadataPairs = 16;
const maxMetadataKeyLength = 64;
const maxMetadataValueLength = 512;
const decimal = /^\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * Joins everything the client said about routing; the strictest wins.
 * @throws RequestError whose param names the field or header; LfoError 403 where the key forbids the mode
 */
export function readHints(sources: HintSources): RoutingHints {
  const { headers, identity } = sources;
  const metadata = readMetadata(sources.metadata);
  const confidenceThreshold = thresholdOf(metadata);
  const conversation = conversationIn(headers) ?? sources.conversation;
  const caller = callerIn(headers);
  return {
    mode: effectiveMode(sources, metadata),
    clientKey: identity.id,
    ...(identity.name !== undefined && { clientName: identity.name }),
    headers,
    metadata,
    ...(isBackground(headers, metadata, sources.isPatient === true) && { lane: 'background' }),
    ...(confidenceThreshold !== undefined && { confidenceThreshold }),
    ...deadlinesOf(headers, sources.isStream),
    ...(conversation !== undefined && { sessionKey: `${identity.id}:${conversation}` }),
    ...(caller !== undefined && { caller }),
  };
}

/** Headers by which clients and gateways name a conversation, ours first. */
const sessionHeaders = ['x-lfo-session', 'x-session-id', 'x-session-affinity', 'session_id'] as const;

function conversationIn(headers: IncomingHttpHeaders): string | undefined {
  for (const name of sessionHeaders) {
    const value = headers[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

const traceParent = /^[\da-f]{2}-(?<traceId>[\da-f]{32})-(?<spanId>[\da-f]{16})-[\da-f]{2}/;

/** The LFO that asks. @throws LfoError 508 where the request goes in circles */
function callerIn(headers: IncomingHttpHeaders): CallingRouter | undefined {
  const said = headers['x-lfo-hops'];
  if (said === undefined) return undefined;
  const hops = typeof said === 'string' && /^\d{1,4}$/.test(said) ? Number(said) : 0;
  if (hops < 1) {
    throw new RequestError('x-lfo-hops: must be the number of LFOs that the request has passed.', {
      param: 'x-lfo-hops',
    });
  }
  if (hops > maxHops) {
    throw new LfoError(
      `This request has passed ${hops} LFOs, one behind the other, and ${maxHops} are the most: look for a backend of kind lfo that leads back.`,
      { code: 'loop_detected', status: 508 },
    );
  }
  const parent = headers['traceparent'];
  const { traceId, spanId } = (typeof parent === 'string' && traceParent.exec(parent)?.groups) || {};
  const hasTrace = traceId !== undefined && spanId !== undefined;
  return { hops, ...(hasTrace && { trace: { traceId, spanId } }) };
}

/** Each source allows a set of tiers; the mode is what all allow. It is computed here, once, and never widened. */
function effectiveMode({ headers, model, identity }: HintSources, metadata: JsonObject): Mode {
  const asked: readonly (readonly [param: string, allowed: Mode])[] = [
    ['model', model.tier ?? model.aliasOf ?? 'auto'],
    ...(Object.hasOwn(metadata, 'mode') ? [['metadata.mode', modeOf(metadata.mode, 'metadata.mode')] as const] : []),
    ...('x-lfo-mode' in headers ? [['x-lfo-mode', modeOf(headers['x-lfo-mode'], 'x-lfo-mode')] as const] : []),
  ];
  let mode: Mode = 'auto';
  for (const [param, allowed] of asked) {
    const joined = intersection(mode, allowed);
    if (joined === undefined) {
      throw new RequestError(
        `${param}: asks for ${allowed} while the rest of the request asks for ${mode}; make them agree.`,
        { code: 'mode_conflict', param },
      );
    }
    mode = joined;
  }
  return permitted(mode, identity);
}

/** The header is checked; what else names a lane is a hint. */
function isBackground(headers: IncomingHttpHeaders, metadata: JsonObject, isPatient: boolean): boolean {
  const lane = headers['x-lfo-lane'];
  if (lane !== undefined && lane !== 'interactive' && lane !== 'background') {
    throw new RequestError('x-lfo-lane: must be exactly "interactive" or "background".', { param: 'x-lfo-lane' });
  }
  return lane === undefined ? isPatient || metadata.lane === 'background' : lane === 'background';
}

function modeOf(value: unknown, param: string): Mode {
  if (value === 'local' || value === 'cloud' || value === 'auto') return value;
  throw new RequestError(`${param}: must be exactly "local", "cloud" or "auto".`, { code: 'invalid_mode', param });
}

function intersection(a: Mode, b: Mode): Mode | undefined {
  if (a === 'auto' || a === b) return b;
  return b === 'auto' ? a : undefined;
}

function permitted(mode: Mode, { tiers }: KeyIdentity): Mode {
  if (tiers === undefined) return mode;
  const allowed = (['local', 'cloud'] satisfies Tier[]).filter((tier) => tiers.includes(tier));
  const [only] = allowed;
  const joined = allowed.length === 2 ? mode : only && intersection(mode, only);
  if (joined !== undefined) return joined;
  throw new LfoError(`This key may not use the mode ${mode}.`, { code: 'mode_not_allowed', status: 403 });
}

/** The document's bounds; values are strings but for the threshold, which may be a number. Null is no value here. */
function readMetadata(metadata: JsonObject | null | undefined): JsonObject {
  if (metadata === null || metadata === undefined) return {};
  const entries = Object.entries(metadata);
  if (entries.length > maxMetadataPairs) {
    throw new RequestError(`metadata: holds more than ${maxMetadataPairs} pairs.`, { param: 'metadata' });
  }
  for (const [key, value] of entries) {
    const param = `metadata.${key.slice(0, maxMetadataKeyLength)}`;
    if (key.length > maxMetadataKeyLength) {
      throw new RequestError(`metadata: a key is longer than ${maxMetadataKeyLength} characters.`, { param });
    }
    if (key === 'mode' || (key === 'confidence_threshold' && typeof value === 'number')) continue;
    if (typeof value !== 'string' || value.length > maxMetadataValueLength) {
      throw new RequestError(`${param}: must be a string of at most ${maxMetadataValueLength} characters.`, { param });
    }
  }
  return metadata;
}

function thresholdOf(metadata: JsonObject): number | undefined {
  if (!Object.hasOwn(metadata, 'confidence_threshold')) return undefined;
  const value: JsonValue | undefined = metadata.confidence_threshold;
  const number = typeof value === 'string' && decimal.test(value) ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= 1) return number;
  const param = 'metadata.confidence_threshold';
  throw new RequestError(`${param}: must be a number from 0 to 1.`, { param });
}

/**
 * Our own header is checked; the SDKs' time-out is taken where it makes sense. An SDK stops its timer when the head
 * arrives, so for a stream it bounds the time until then; else the shorter of the two counts.
 */
function deadlinesOf(
  headers: IncomingHttpHeaders,
  isStream: boolean,
): Pick<RoutingHints, 'deadlineMs' | 'headDeadlineMs'> {
  const own = headers['x-lfo-deadline-ms'];
  const ownMs = typeof own === 'string' && decimal.test(own) ? Number(own) : undefined;
  if (own !== undefined && (ownMs === undefined || !(ownMs > 0) || !Number.isFinite(ownMs))) {
    throw new RequestError('x-lfo-deadline-ms: must be a positive number of milliseconds.', {
      param: 'x-lfo-deadline-ms',
    });
  }
  const sdk = headers['x-stainless-timeout'];
  const sdkMs = typeof sdk === 'string' && decimal.test(sdk) && Number(sdk) > 0 ? Number(sdk) * 1000 : Infinity;
  const totalMs = Math.min(ownMs ?? Infinity, isStream ? Infinity : sdkMs);
  return {
    ...(totalMs !== Infinity && { deadlineMs: totalMs }),
    ...(isStream && sdkMs !== Infinity && { headDeadlineMs: sdkMs }),
  };
}
