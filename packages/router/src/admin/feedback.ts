import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { LfoError, RequestError } from '../core/errors.ts';
import { feedbackBody } from '../core/feedback-body.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { JsonValue } from '../core/json.ts';
import type { Tier } from '../core/request.ts';
import type { Verdict } from '../records/history.ts';
import type { RequestView } from '../records/request-view.ts';
import { stored, unknownRequest } from './api.ts';
import type { AdminDeps } from './deps.ts';

/** `POST /v1/feedback`: what somebody thought of an answer. A key may speak of its own requests, an admin of all. */
export function addFeedback(app: FastifyInstance, { history, live, labels, readBody }: AdminDeps): void {
  app.post('/v1/feedback', (request) => take(request.identity, readBody(request)));

  async function take(identity: KeyIdentity, body: JsonValue) {
    if (!mayGive(identity)) {
      throw new LfoError('This key may not give feedback.', { code: 'scope_missing', status: 403 });
    }
    const { data, error } = feedbackBody.safeParse(body);
    if (data === undefined) throw badFeedback(error);
    const { request_id: asked, verdict, expected_route: expectedRoute } = data;
    const known = await find(asked);
    if (known === undefined || !mayJudge(identity, known.clientKey)) throw unknownRequest();
    // It may have been named by the id of its answer.
    const requestId = known.view.id;
    const expected = expectedRoute === null || expectedRoute === undefined ? {} : { expectedRoute };
    await stored(history.addFeedback({ requestId, clientKey: identity.id, verdict, ...expected }));
    const label = labelOf(known.view, verdict, expected.expectedRoute);
    if (label !== undefined) labels.add({ requestId, ...label, source: 'feedback', weight: 1, propensity: 1 });
    return { object: 'feedback', request_id: requestId, verdict, expected_route: expectedRoute ?? null };
  }

  /** The feed knows what is not stored yet. */
  async function find(id: string): Promise<{ view: RequestView; clientKey: string | null } | undefined> {
    const recent = live.find(id);
    if (recent !== undefined) return { view: recent.view, clientKey: recent.clientKey ?? null };
    return await stored(history.find(id));
  }
}

/**
 * What a verdict says of the local answer: of one that was given the verdict itself, of one that was held back only where
 * the request should have gone.
 */
function labelOf(
  { route, attempts }: RequestView,
  verdict: Verdict,
  expected: Tier | undefined,
): { readonly attempt: number; readonly label: number } | undefined {
  const attempt = attempts.findLastIndex(
    ({ tier, outcome }) => tier === 'local' && (outcome === 'answered' || outcome === 'escalated'),
  );
  if (attempt < 0) return undefined;
  if (expected !== undefined) return { attempt, label: expected === 'local' ? 1 : 0 };
  return route === 'local' ? { attempt, label: verdict === 'good' ? 1 : 0 } : undefined;
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
