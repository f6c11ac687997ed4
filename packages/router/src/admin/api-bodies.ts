import type { BackendView, Capabilities } from '../core/backend.ts';
import type { StoredRequest } from '../records/history.ts';
import type { LiveFeed } from '../telemetry/live-feed.ts';
import type { AdminDeps } from './deps.ts';
import type { FleetMember, RequestBody, StatusBody } from './wire.ts';

/** The fleet and the records now. Counts that change with every request are left out. */
export function statusBody({ fleet, readiness, problem, records }: AdminDeps): StatusBody {
  const { ready, reasons } = readiness();
  const { dropped, degraded } = records();
  const backends = fleet().backends.map(member);
  return { ready, reasons, backends, records: { dropped, degraded }, problem: problem() ?? null };
}

/** A stored request, or one that still runs or waits to be stored. */
export function requestBody(
  stored: StoredRequest | undefined,
  live: LiveRequest | undefined,
  keyName: AdminDeps['keyName'],
): RequestBody | undefined {
  const request = stored?.view ?? live?.view;
  if (request === undefined) return undefined;
  const { feedback = null, features = null, signals = null, capture = null } = stored ?? {};
  const keyId = stored?.clientKey ?? live?.clientKey ?? null;
  const clientKey = keyId === null ? null : { id: keyId, name: keyName(keyId) ?? null };
  return { request, clientKey, feedback, features, signals, capture };
}

type LiveRequest = NonNullable<ReturnType<LiveFeed['find']>>;

function member(backend: BackendView): FleetMember {
  const { id, tier, models, status, breaker, inFlight, capabilities } = backend;
  return {
    id,
    tier,
    models,
    breaker,
    inFlight,
    isDraining: backend.isDraining ?? false,
    state: status.state,
    detail: status.detail ?? null,
    progress: status.progress ?? null,
    prefillRate: status.prefillRate ?? null,
    decodeRate: status.decodeRate ?? null,
    active: status.active ?? null,
    queued: status.queued ?? null,
    slots: status.slots ?? null,
    contextTokens: capabilities.contextTokens ?? null,
    abilities: abilitiesOf(capabilities),
  };
}

function abilitiesOf({ tools, jsonSchema, images, audio, logprobs }: Capabilities): readonly string[] {
  const named = { tools, 'JSON schema': jsonSchema, images, audio, logprobs };
  return Object.entries(named).flatMap(([name, has]) => (has ? [name] : []));
}
