import type { InferenceEvent } from '../core/events.ts';
import { setRecent } from '../core/recent.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { RequestFollower, RequestSink } from '../core/sink.ts';
import type { RequestTrace } from '../core/trace.ts';

/** Who made a tool call that a client is now working on. */
export interface AnsweredCall {
  readonly requestId: string;
  /** Place of the attempt that answered. */
  readonly attempt: number;
  readonly tier: Tier;
}

/**
 * Remembers who made the latest tool calls, so that a loop of calls and results stays on one tier and results can be laid
 * to the answer that asked for them. Bounded; scoped to the client's key.
 */
export class AnsweredCalls implements RequestSink {
  readonly #calls = new Map<string, AnsweredCall>();

  begin(request: ChatRequest, trace: RequestTrace): RequestFollower {
    const { clientKey } = request.hints;
    if (request.tools.length === 0) return { ended: nothing };
    let ids: string[] | undefined;
    return {
      wrote(events: readonly InferenceEvent[]) {
        for (const event of events) if (event.type === 'tool-call-start') (ids ??= []).push(event.id);
      },
      ended: () => {
        const { route, id: requestId } = trace;
        if (ids === undefined || route === undefined) return;
        const attempt = trace.attempts.findLastIndex(({ outcome }) => outcome === 'answered');
        for (const id of ids)
          setRecent(this.#calls, keyOf(clientKey, id), { requestId, attempt, tier: route }, mostCalls);
      },
    };
  }

  /** Who made a call of this key; undefined once forgotten. */
  find(clientKey: string | undefined, callId: string): AnsweredCall | undefined {
    return this.#calls.get(keyOf(clientKey, callId));
  }

  /** The tier that made the call whose result a request brings; undefined where it brings none. */
  loopTier({ messages, hints }: ChatRequest): Tier | undefined {
    const last = messages.at(-1);
    return last?.role === 'tool' ? this.find(hints.clientKey, last.toolCallId)?.tier : undefined;
  }
}

function keyOf(clientKey: string | undefined, id: string): string {
  return `${clientKey ?? ''} ${id}`;
}

function nothing(): void {}

const mostCalls = 10_000;
