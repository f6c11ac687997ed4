import type { CallContext } from '../../../core/backend.ts';
import type { Continuation, Sampling } from '../../../core/request.ts';
import { warnOfRareSampling } from '../../../core/unused-fields.ts';
import { infillBody } from './infill.ts';
import { commonSampling, rareSampling, type WireStyle } from './request.ts';
import type { Way } from './supported-features.ts';

/** Where each way is, from the address of the API with its `/v1`. */
export function pathOf(way: Way | undefined): string {
  if (way === undefined) return '/chat/completions';
  return way === 'infill' ? '/../infill' : '/completions';
}

/** The body of a request for a text that is to be gone on with. */
export function textRequestBody(
  { continuation, sampling }: { readonly continuation: Continuation; readonly sampling: Sampling },
  call: Pick<CallContext, 'model' | 'warn'>,
  way: Way,
  { stream, scores, sampler, bestOf }: Pick<WireStyle, 'stream' | 'scores' | 'sampler'> & { readonly bestOf: boolean },
): object {
  const { model } = call;
  if (!sampler) warnOfRareSampling(sampling, (param, why) => call.warn(param, why), 'this backend has no such setting');
  const rare = sampler ? rareSampling(sampling) : {};
  // Without an alternative llama-server gives no scores at all.
  const alternatives = scores ? Math.max(1, (sampling.logprobs ? sampling.topLogprobs : undefined) ?? 1) : undefined;
  if (way === 'infill') return { ...infillBody(continuation, sampling, { model, stream, alternatives }), ...rare };
  return {
    model,
    prompt: continuation.prompt,
    suffix: way === 'suffix' ? continuation.suffix : undefined,
    best_of: bestOf ? continuation.bestOf : undefined,
    max_tokens: sampling.maxTokens,
    ...commonSampling(sampling),
    logit_bias: sampling.logitBias,
    logprobs: alternatives,
    ...rare,
    stream: stream ? true : undefined,
    stream_options: stream ? { include_usage: true } : undefined,
  };
}
