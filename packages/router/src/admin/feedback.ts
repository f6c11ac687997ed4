import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { LfoError, RequestError } from '../core/errors.ts';
import { feedbackBody } from '../core/feedback-body.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { JsonValue } from '../core/json.ts';
import { stored, unknownRequest } from './api.ts';
import type { AdminDeps } from './deps.ts';

/** `POST /v1/feedback`: what somebody thought of an answer. A key may speak of its own requests, an admin of all. */
export function addFeedback(app: FastifyInstance, { history, live, readBody }: AdminDeps): void {
  app.post('/v1/feedback', (request) => take(request.identity, readBody(request)));

  async function take(identity: KeyIdentity, body: JsonValue) {
    if (!mayGive(identity)) {
      throw new LfoError('This key may not give feedback.', { code: 'scope_missing', status: 403 });
    }
    const { data, error } = feedbackBody.safeParse(body);
    if (data === undefined) throw badFeedback(error);
    const { request_id: requestId, verdict, expected_route: expectedRoute } = data;
    const owner = await ownerOf(requestId);
    if (owner === undefined || !mayJudge(identity, owner)) throw unknownRequest();
    const expected = expectedRoute === null || expectedRoute === undefined ? {} : { expectedRoute };
    await stored(history.addFeedback({ requestId, clientKey: identity.id, verdict, ...expected }));
    return { object: 'feedback', request_id: requestId, verdict, expected_route: expectedRoute ?? null };
  }

  /** `undefined`: no such request; `null`: nobody's. The feed knows what is not stored yet. */
  async function ownerOf(id: string): Promise<string | null | undefined> {
    const recent = live.find(id);
    if (recent !== undefined) return recent.clientKey ?? null;
    return (await stored(history.find(id)))?.clientKey;
  }
}

function mayGive({ scopes }: KeyIdentity): boolean {
  return scopes.includes('chat') || scopes.includes('admin');
}

function mayJudge({ id, scopes }: KeyIdentity, owner: string | null): boolean {
  return owner === id || scopes.includes('admin');
}

function badFeedback(error: z.ZodError | undefined): RequestError {
  const param = error?.issues[0]?.path.join('.');
  return new RequestError(
    'Feedback is {"request_id": "…", "verdict": "good" or "bad", "expected_route": "local" or "cloud"}; the last may be left out.',
    {
      ...(param !== undefined && param !== '' && { param }),
    },
  );
}
