import * as z from 'zod';

/** What `POST /v1/feedback` is held to, and what `/openapi.json` says of it. */
export const feedbackBody = z.object({
  request_id: z.string().min(1).max(100),
  verdict: z.enum(['good', 'bad']),
  expected_route: z.enum(['local', 'cloud']).nullish(),
});
