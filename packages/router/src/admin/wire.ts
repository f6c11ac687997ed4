import type { FeedbackView } from '../records/history.ts';
import type { KeyLimits, Scope } from '../core/identity.ts';
import type { JsonObject } from '../core/json.ts';
import type { Mode, Tier } from '../core/request.ts';
import type { Capture, HeldView, LiveCounters, RequestView } from '../records/request-view.ts';

/** What the dashboard receives; shared with it, so nothing here belongs to Node. */

export type { DeviceView } from '../core/device-view.ts';

/** A backend as the dashboard shows it; `null` is not known. */
export interface FleetMember {
  readonly id: string;
  readonly tier: Tier;
  readonly models: readonly string[];
  readonly state: 'ready' | 'loading' | 'down';
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly isDraining: boolean;
  /** What it is doing, or what is wrong and what to do about it. */
  readonly detail: string | null;
  /** Fraction 0..1 of a download or load under way. */
  readonly progress: number | null;
  /** Tokens a second. */
  readonly prefillRate: number | null;
  readonly decodeRate: number | null;
  /** Requests through this router. */
  readonly inFlight: number;
  /** Requests at the backend, from wherever. */
  readonly active: number | null;
  readonly queued: number | null;
  readonly slots: number | null;
  readonly contextTokens: number | null;
  /** Of `tools`, `JSON schema`, `images`, `audio`, `logprobs`. */
  readonly abilities: readonly string[];
}

/** How LFO is: what answers, whether it can, and what is kept of it. */
export interface StatusBody {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly backends: readonly FleetMember[];
  readonly records: { readonly dropped: number; readonly degraded: boolean };
  /** Why nothing can answer, and what mends it; `null` while something can, or is about to. */
  readonly problem: { readonly what: string; readonly fix: string } | null;
}

/** Events of the live stream by name. */
export interface LiveEvents {
  /** Replaces whatever is known. */
  readonly snapshot: RequestsEvent;
  /** Requests that changed while the reader was away. */
  readonly missed: RequestsEvent;
  readonly request: { readonly counters: LiveCounters; readonly request: RequestView };
  readonly status: StatusBody;
  /** Of requests that named this reader in `x-lfo-watch`. */
  readonly held: HeldView;
}

/** In the order of their latest change. */
export interface RequestsEvent {
  readonly counters: LiveCounters;
  readonly requests: readonly RequestView[];
}

/** One request with all that is known of it. */
export interface RequestBody {
  readonly request: RequestView;
  /** The key it came with; `null` where none is known, its name where it was not given out here. */
  readonly clientKey: { readonly id: string; readonly name: string | null } | null;
  readonly feedback: FeedbackView | null;
  readonly features: unknown;
  readonly signals: unknown;
  readonly capture: Capture | null;
}

/** Who is looking, and what they may do. */
export interface SessionBody {
  /** `null` where no cookie is needed. */
  readonly csrfToken: string | null;
  readonly needsKey: boolean;
}

/** A key as the dashboard shows it; the key itself is shown once, when it is made. */
export interface KeyBody {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly mode: Mode;
  /** The only models it may name; `null`: all. */
  readonly models: readonly string[] | null;
  readonly state: 'active' | 'expired' | 'revoked';
  readonly createdMs: number;
  readonly expiresMs: number | null;
  readonly lastUsedMs: number | null;
  readonly limits: KeyLimits;
  /** By the names of the limits. */
  readonly used: Readonly<Record<Exclude<keyof KeyLimits, 'concurrency'>, number>>;
}

export interface KeysBody {
  readonly keys: readonly KeyBody[];
  /** Whether the configuration has a key of its own. */
  readonly ownerHasKey: boolean;
}

/** What is in force, and where it comes from. */
export interface SettingsBody {
  readonly version: string;
  readonly node: string;
  readonly router: string;
  /** As `lfo.yaml` spells them; a `${…}` stands for each secret. */
  readonly settings: JsonObject;
  /** By path; what is not in it is a default. */
  readonly origins: Readonly<Record<string, string>>;
  readonly threshold: {
    readonly value: number;
    readonly origin: string;
    /** The environment fixes it. */
    readonly isFixed: boolean;
  };
  /** Names of the routing policies in their order. */
  readonly policies: readonly string[];
  readonly calibrations: readonly {
    readonly id: string;
    readonly model: string;
    /** Answers it was fitted on. */
    readonly fittedOn: number;
  }[];
  /** The cloud model by whose list price savings are counted; `null` without one. */
  readonly savedAgainst: string | null;
}
