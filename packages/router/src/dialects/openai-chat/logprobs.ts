import type { TokenScore } from '../../core/events.ts';

/** What the document puts where a token is practically impossible. */
const impossible = -9999;

/** Scores of text as `logprobs.content`; `top` bounds the alternatives of each token. */
export function wireLogprobs(scores: readonly TokenScore[], top: number) {
  return scores.map((score) => ({
    ...entry(score),
    top_logprobs: (score.top ?? []).slice(0, top).map(entry),
  }));
}

function entry({ token, logprob }: { readonly token: string; readonly logprob: number }) {
  const text = token.toWellFormed();
  return { token: text, logprob: Number.isFinite(logprob) ? logprob : impossible, bytes: [...Buffer.from(text)] };
}
