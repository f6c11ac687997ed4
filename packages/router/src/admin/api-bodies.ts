import type { BackendView } from '../core/backend.ts';
import type { FeedbackView, StoredRequest } from '../core/history.ts';
import type { LiveCounters } from '../core/live-feed.ts';
import type { RequestView } from '../core/request-view.ts';
import type { AdminDeps, RecordsStatus } from './deps.ts';

/** A backend as the dashboard shows it. */
export interface FleetMember extends BackendView {
  readonly isDraining: boolean;
}

/** How LFO is: what answers, whether it can, and what is kept of it. */
export interface StatusBody {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly backends: readonly FleetMember[];
  readonly records: RecordsStatus;
}

/** Events of the live stream by name. */
export interface LiveEvents {
  readonly snapshot: { readonly counters: LiveCounters; readonly requests: readonly RequestView[] };
  readonly missed: { readonly counters: LiveCounters; readonly requests: readonly RequestView[] };
  readonly request: { readonly counters: LiveCounters; readonly request: RequestView };
  readonly status: StatusBody;
}

/** One request with all that is known of it. */
export interface RequestBody {
  readonly request: RequestView;
  readonly feedback: FeedbackView | null;
  readonly features: unknown;
  readonly signals: unknown;
}

/** Who is looking, and what they may do. */
export interface SessionBody {
  /** `null` where no cookie is needed. */
  readonly csrfToken: string | null;
  readonly needsKey: boolean;
  readonly canDrain: boolean;
}

/** The fleet and the records now. Written counts are left out: they change with every request. */
export function statusBody({ fleet, readiness, records, fleetControl }: AdminDeps): StatusBody {
  const { ready, reasons } = readiness();
  const backends = fleet().backends.map((backend) => ({
    ...backend,
    isDraining: fleetControl?.isDraining(backend.id) ?? false,
  }));
  return { ready, reasons, backends, records: { ...records(), written: 0, pending: 0 } };
}

/** A stored request, or one that still runs or waits to be stored. */
export function requestBody(stored: StoredRequest | undefined, live: RequestView | undefined): RequestBody | undefined {
  const request = stored?.view ?? live;
  if (request === undefined) return undefined;
  const { feedback = null, features = null, signals = null } = stored ?? {};
  return { request, feedback, features, signals };
}
