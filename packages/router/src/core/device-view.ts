import type { DialAddress } from './devices.ts';

export type DeviceState = 'ready' | 'loading' | 'paused' | 'draining' | 'ejected' | 'offline' | 'conflict';

/** A device as the admin API, the command line and the dashboard show it; `null` is not known. */
export interface DeviceView {
  readonly id: string;
  readonly name: string;
  readonly state: DeviceState;
  readonly code: string | null;
  readonly why: string | null;
  readonly fingerprint: string | null;
  readonly app: string | null;
  readonly os: string | null;
  readonly engine: { readonly name?: string | undefined; readonly version?: string | undefined } | null;
  readonly address: string | null;
  readonly dial: DialAddress | null;
  /** How it is woken when a request wants it and nothing else is up. */
  readonly wake: { readonly mac: string; readonly broadcast: string; readonly timeout_ms: number } | null;
  readonly created: string;
  readonly last_seen: string | null;
  readonly models: readonly DeviceModelView[];
  readonly battery: { readonly pct: number; readonly charging: boolean; readonly saver?: boolean | undefined } | null;
  readonly thermal: { readonly status: number; readonly headroom?: number | undefined } | null;
  readonly rtt_ms: number | null;
  /** Requests that this router has given it and that have not ended. */
  readonly in_flight: number;
  /** Left alone until then, since it failed or was slow again and again. */
  readonly ejected_until: string | null;
  /** What last kept a request from being answered there, and what to do about it. */
  readonly last_error: { readonly code: string; readonly message: string; readonly at: string } | null;
  /** `resumes`: how often it came back in the middle of this session. */
  readonly session: { readonly id: string; readonly resumes: number } | null;
  /** Fields of its messages that were cut or left out, counted. */
  readonly clipped: Readonly<Record<string, number>>;
}

export interface DeviceModelView {
  readonly id: string;
  readonly ctx: number | null;
  readonly caps: readonly string[];
  readonly quant: string | null;
  readonly resident: boolean;
  readonly slots: number;
  readonly active: number;
  readonly queued: number;
  /** Tokens per second as the router has measured them, or takes them to be while it has seen little. */
  readonly prefill_tps: number | null;
  readonly decode_tps: number | null;
}
