import type { Clock } from '../core/clock.ts';
import type { ConfigHandle } from '../config/handle.ts';
import type { Logger } from '../core/logger.ts';

/** What a serving LFO is built with. */
export interface AppOptions {
  readonly config: ConfigHandle;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Monotonic time at which the process started. */
  readonly processStartMs: number;
  readonly startup: StartupListener;
}

/** What the process it runs in lends the router. */
export interface HostProcess {
  /** Path of the Node that runs it; runs the model's child too. */
  readonly execPath: string;
  /** Environment of the model's child, without any key. */
  readonly childEnv: Readonly<Record<string, string | undefined>>;
  /** 0..1, uniform. */
  readonly random: () => number;
  /** Absent: unknown. */
  readonly build?: { readonly version: string; readonly node: string };
  /** Further options of the model's child, for tests. */
  readonly childOptions?: Readonly<Record<string, unknown>>;
}

/** Told how the start goes; never throws. */
export interface StartupListener {
  listening(url: string): void;
  progress(progress: StartupProgress): void;
  /** Requests can be answered, for the first time or again. */
  ready(info: ReadyInfo): void;
  /** It runs, and nothing can answer: at the start, for another reason than before, or from now on. */
  unable(info: ReadyInfo, problem: Problem): void;
}

/** Why nothing can answer, and what mends it: two sentences for whoever runs LFO. */
export interface Problem {
  readonly what: string;
  readonly fix: string;
}

/** How far the embedded model is; bytes for a download, any unit otherwise. `total` 0 is unknown. */
export interface StartupProgress {
  readonly phase: 'download' | 'verify' | 'load';
  readonly done: number;
  readonly total: number;
  readonly what: string;
}

/** What a first look at a running LFO needs. */
export interface ReadyInfo {
  /** `http://localhost:8080` */
  readonly url: string;
  readonly dashboardUrl?: string;
  /** Absent: no embedded model and no local backend. */
  readonly local?: {
    readonly model: string;
    readonly engine: string;
    /** Tokens per second of the last run. */
    readonly decodeRate?: number;
    /** Why it cannot answer yet, and what to do. */
    readonly problem?: string;
  };
  /** Names of the cloud backends; empty: off. */
  readonly cloud: readonly string[];
  /** Whether clients must send a key. */
  readonly needsKey: boolean;
  /** From the start of the process. */
  readonly startupMs: number;
}

/** A serving LFO. */
export interface RunningApp {
  /** With the port that was really taken. */
  readonly url: string;
  /** Not ready at once, no new connections; resolves when running requests have ended or their grace is over. */
  close(): Promise<void>;
}
