import type { HeldView } from '@lfo/router/src/records/request-view.ts';
import type { Answer, ChatAsk } from '../api/chat.ts';

/** What is held back of an answer, and in the end what the gate says of it. */
export type Held = Pick<HeldView, 'id' | 'afterMs' | 'backend' | 'model' | 'text' | 'verdict'>;

/** One question in one mode. */
export interface Run {
  readonly answer: Answer;
  readonly state: 'running' | 'done' | 'failed' | 'stopped';
  readonly asked: ChatAsk;
  readonly held?: Held;
  readonly error?: string;
}
