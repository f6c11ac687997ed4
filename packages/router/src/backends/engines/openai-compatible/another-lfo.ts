import type { CallContext } from '../../../core/backend.ts';
import { conversationOf } from '../../../core/conversation.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';
import type { ChatRequest, Tier } from '../../../core/request.ts';
import { spanIdOf, traceIdOf } from '../../../core/trace-ids.ts';
import type { ViaHop } from '../../../core/trace.ts';
import type { OpaqueIds } from '../../opaque-ids.ts';
import type { ListedModel } from './models.ts';

type Headers = Readonly<Record<string, string>>;

/** What another LFO is told of a request beside its body; its mode is told apart. */
export function headersForLfo(
  request: ChatRequest,
  { deadlineMs, clock }: Pick<CallContext, 'deadlineMs' | 'clock'>,
  opaque: OpaqueIds,
): Headers {
  const { caller, lane } = request.hints;
  const traceId = caller?.trace?.traceId ?? traceIdOf(request.id);
  return {
    'x-lfo-hops': String((caller?.hops ?? 0) + 1),
    'x-lfo-session': opaque(conversationOf(request)),
    traceparent: `00-${traceId}-${spanIdOf(request.id, 'request')}-01`,
    ...(lane === undefined ? {} : { 'x-lfo-lane': lane }),
    ...(deadlineMs === undefined
      ? {}
      : { 'x-lfo-deadline-ms': String(Math.max(1, Math.round(deadlineMs - clock.nowMs()))) }),
  };
}

/** The LFOs that an answer came through, by its `lfo_metadata`. */
export function viaIn(metadata: JsonObject): readonly ViaHop[] {
  const device = metadata['device'];
  const further = metadata['via'];
  const nearest = { ...metadata, device: isJsonObject(device) ? (device['name'] ?? null) : null };
  return [nearest, ...(Array.isArray(further) ? further.filter(isJsonObject) : [])].slice(0, mostHops).map(hopOf);
}

const mostHops = 8;

function hopOf({ router, backend, model, device }: JsonObject): ViaHop {
  return { router: nameOf(router), backend: nameOf(backend), model: nameOf(model), device: nameOf(device) };
}

function nameOf(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value.slice(0, 200).toWellFormed() : null;
}

/**
 * The models of another LFO that a backend of this tier offers: of a site those that stay there, whatever serves them
 * first; what chooses by itself is the default.
 */
export function modelsOfLfo(value: JsonValue, listed: readonly ListedModel[], tier: Tier): readonly ListedModel[] {
  const entries = isJsonObject(value) && Array.isArray(value['data']) ? value['data'].filter(isJsonObject) : [];
  const facts = new Map(entries.map((entry) => [nameOf(entry['id']), entry]));
  const ours = listed.filter(({ id }) => {
    const entry = facts.get(id);
    const capabilities = entry?.['capabilities'];
    if (Array.isArray(capabilities) && capabilities.includes('embedding')) return false;
    return tier === 'cloud' || entry?.['tier'] === 'local';
  });
  const chooses = tier === 'local' ? 'lfo-local' : 'lfo-auto';
  return ours
    .toSorted((one, other) => Number(other.id === chooses) - Number(one.id === chooses))
    .map((model) => ({ ...model, ...abilitiesOf(facts.get(model.id)?.['capabilities']) }));
}

function abilitiesOf(
  capabilities: JsonValue | undefined,
): Pick<ListedModel, 'tools' | 'images' | 'jsonSchema' | 'reasoning' | 'infill'> {
  if (!Array.isArray(capabilities)) return {};
  return {
    tools: capabilities.includes('tools'),
    images: capabilities.includes('vision'),
    reasoning: capabilities.includes('reasoning'),
    ...(capabilities.includes('infill') && { infill: true }),
    jsonSchema: capabilities.includes('structured_output'),
  };
}
