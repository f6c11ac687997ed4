import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Backend, CallContext } from '@lfo/router/src/core/backend.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { BackendError, type BackendFault } from '@lfo/router/src/core/errors.ts';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { chatRequest } from './chat-request.ts';
import { collect, oneByOne } from './collect.ts';
import { assertGrammar, textOfEvents, toolCallsOf } from './event-grammar.ts';

/** What the engine behind the backend does with the next request. */
export type Behaviour =
  /** Answers with some text. */
  | 'text'
  /** Answers with one whole call of the tool `add`. */
  | 'tool-call'
  /** Answers with text that ends at a limit. */
  | 'length'
  /** Answers with fields nobody has heard of. */
  | 'unknown-fields'
  /** Is not there. */
  | 'refused'
  | 'hang-before-first-byte'
  /** Sends some text, then nothing. */
  | 'hang-mid-stream'
  /** Sends some text, then breaks the connection. */
  | 'reset-mid-stream'
  /** Sends some text, then ends in good order without having finished. */
  | 'no-finish'
  | 'truncated-json'
  | 'wrong-content-type'
  | 'status-401'
  /** With a pause of 7 s. */
  | 'status-429'
  | 'status-500';

/** A backend set up to show one behaviour. */
export interface ContractSubject {
  readonly backend: Backend;
  readonly model: string;
  /** Resolves when the engine has noticed that its caller left. */
  readonly abandoned: () => Promise<unknown>;
}

/** Makes a subject, cleaned up through the test's context; a behaviour the engine cannot show is a named skip. */
export type MakeSubject = (
  behaviour: Behaviour,
  t: TestContext,
) => Promise<ContractSubject | { readonly skip: string }>;

const failing: readonly [Behaviour, readonly BackendFault[]][] = [
  ['refused', ['connect']],
  ['reset-mid-stream', ['cut']],
  ['no-finish', ['cut']],
  ['truncated-json', ['bad_answer', 'cut']],
  ['wrong-content-type', ['bad_answer']],
  ['status-401', ['auth']],
  ['status-429', ['rate_limit']],
  ['status-500', ['server']],
];

/**
 * What every backend promises, run against one; each skip says why.
 * @param answersWhole it has \`complete\`, which promises the same
 */
export function describeBackend(name: string, make: MakeSubject, answersWhole = false): void {
  const backendTest = (title: string, behaviour: Behaviour, run: (subject: ContractSubject) => Promise<void>): void => {
    test(title, { timeout: 20_000 }, async (t) => {
      const subject = await make(behaviour, t);
      if ('skip' in subject) t.skip(subject.skip);
      else await run(subject);
    });
  };

  describe(`backend contract: ${name}`, { concurrency: false }, () => {
    for (const stream of [true, false]) {
      backendTest(`text comes as start, deltas and finish (stream: ${stream})`, 'text', async (subject) => {
        const events = await collect(infer(subject, { stream }));
        assert.equal(assertGrammar(events).reason, 'stop');
        assert.notEqual(textOfEvents(events), '');
      });
    }

    backendTest('a tool call is whole', 'tool-call', async (subject) => {
      const events = await collect(
        infer(subject, { tools: [{ name: 'add', parameters: { type: 'object', properties: {} } }] }),
      );
      assert.equal(assertGrammar(events).reason, 'tool_calls');
      assert.deepEqual(
        toolCallsOf(events).map(({ name, isEnded }) => ({ name, isEnded })),
        [{ name: 'add', isEnded: true }],
      );
    });

    backendTest('a limit is told', 'length', async (subject) => {
      assert.equal(assertGrammar(await collect(infer(subject))).reason, 'length');
    });

    backendTest('unknown fields break nothing', 'unknown-fields', async (subject) => {
      assert.equal(assertGrammar(await collect(infer(subject))).reason, 'stop');
    });

    for (const [behaviour, faults] of failing) {
      backendTest(`${behaviour} is a ${faults.join(' or ')} fault`, behaviour, async (subject) => {
        const error = await failureOf(collect(infer(subject)));
        assert.ok(error instanceof BackendError, String(error));
        assert.ok(faults.includes(error.fault), `${error.fault}: ${error.message}`);
        assert.equal(error.backend, subject.backend.id);
        assert.doesNotMatch(error.message, /secret|127\.0\.0\.1|localhost|Bearer/i);
        if (behaviour === 'status-429') assert.equal(error.retryAfterMs, 7000);
      });
    }

    for (const [behaviour, faults] of answersWhole ? failing.filter(([one]) => !one.endsWith('-stream')) : []) {
      // A stream without its finish is whole in one piece.
      if (behaviour === 'no-finish') continue;
      backendTest(`${behaviour} is a ${faults.join(' or ')} fault in one piece`, behaviour, async (subject) => {
        const error = await failureOf(complete(subject));
        assert.ok(error instanceof BackendError, String(error));
        assert.ok(faults.includes(error.fault), `${error.fault}: ${error.message}`);
      });
    }

    if (answersWhole) {
      backendTest('an answer in one piece has the grammar of a stream', 'text', async (subject) => {
        const events = await complete(subject);
        assert.equal(assertGrammar(events).reason, 'stop');
        assert.equal(textOfEvents(events), textOfEvents(await collect(infer(subject))));
      });

      backendTest(
        'an abort ends an answer in one piece and reaches the engine',
        'hang-before-first-byte',
        async (subject) => {
          const controller = new AbortController();
          const reason = new Error('the client left');
          const failure = failureOf(complete(subject, { signal: controller.signal }));
          setTimeout(() => controller.abort(reason), 50);
          assert.equal(await failure, reason);
          await subject.abandoned();
        },
      );
    }

    for (const behaviour of ['hang-before-first-byte', 'hang-mid-stream'] as const) {
      backendTest(`an abort ends ${behaviour} with its reason and reaches the engine`, behaviour, async (subject) => {
        const controller = new AbortController();
        const reason = new Error('the client left');
        const failure = failureOf(
          drain(
            infer(subject, {}, { signal: controller.signal }),
            () => behaviour === 'hang-mid-stream' && controller.abort(reason),
          ),
        );
        if (behaviour === 'hang-before-first-byte') setTimeout(() => controller.abort(reason), 50);
        assert.equal(await failure, reason);
        await subject.abandoned();
      });
    }

    backendTest('a caller that stops reading stops the engine', 'hang-mid-stream', async (subject) => {
      for await (const event of infer(subject)) if (event.type === 'text-delta') break;
      await subject.abandoned();
    });

    backendTest('a signal already aborted sends nothing', 'text', async (subject) => {
      const reason = new Error('gone before');
      assert.equal(await failureOf(collect(infer(subject, {}, { signal: AbortSignal.abort(reason) }))), reason);
    });

    backendTest('closing twice is harmless, and ends running calls', 'hang-mid-stream', async (subject) => {
      const failure = failureOf(drain(infer(subject), () => void subject.backend.close()));
      assert.ok((await failure) instanceof BackendError);
      await subject.backend.close();
    });
  });
}

async function complete(subject: ContractSubject, call: Partial<CallContext> = {}): Promise<readonly InferenceEvent[]> {
  const answer = subject.backend.complete?.(chatRequest({ stream: false }), contextOf(subject, call));
  return (await answer) ?? assert.fail('it has no answers in one piece');
}

function infer(
  subject: ContractSubject,
  request: Partial<ChatRequest> = {},
  call: Partial<CallContext> = {},
): AsyncIterable<InferenceEvent> {
  return oneByOne(subject.backend.infer(chatRequest(request), contextOf(subject, call)));
}

function contextOf(subject: ContractSubject, call: Partial<CallContext>): CallContext {
  return {
    signal: new AbortController().signal,
    clock: systemClock,
    model: subject.model,
    wantScores: false,
    warn: () => undefined,
    keepAlive: () => undefined,
    ...call,
  };
}

/** Reads to the end, calling once when the first text has come. */
async function drain(events: AsyncIterable<InferenceEvent>, onText: () => unknown): Promise<void> {
  let hasText = false;
  for await (const event of events) {
    if (hasText || event.type !== 'text-delta') continue;
    hasText = true;
    onText();
  }
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
}
