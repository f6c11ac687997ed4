import { BackendError } from '../../../core/errors.ts';
import type { HttpResponse } from '../../http/client.ts';
import type { JsonValue } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';

/**
 * The error where an answer of the local tier says that its prompt left the network, as another LFO does in the head of
 * its answer (`x-lfo-egress`).
 */
export function violationIn(
  { headers, status }: Pick<HttpResponse, 'headers' | 'status'>,
  backend: string,
  mustSay: boolean,
): BackendError | undefined {
  const egress = headers['x-lfo-egress'];
  if (egress === 'none') return undefined;
  if (egress === undefined) return mustSay && status < 300 ? egressViolation(backend, unknownEgress) : undefined;
  return egressViolation(backend, String(egress));
}

/** Throws where `lfo_metadata`, in the last chunk, says so. */
export function checkMetadata(metadata: JsonValue | undefined, backend: string): void {
  const egress = isJsonObject(metadata) ? metadata['egress'] : undefined;
  if (egress === undefined || egress === null || egress === 'none') return;
  throw egressViolation(backend, typeof egress === 'string' ? egress : unknownEgress);
}

/** Where another LFO does not say that a prompt stayed with it. */
export const unknownEgress = 'unknown';

/**
 * A backend of the local tier would answer, or has answered, from outside the user's network.
 * @param egress where it says that the prompt went; absent: nothing was sent to it
 */
export function egressViolation(backend: string, egress?: string): BackendError {
  const named = egress?.replace(/[^\x21-\x7e]/g, '?').slice(0, 200);
  return new BackendError(
    'A backend of the local tier answers by way of a cloud, so its answer was thrown away; set its tier to cloud, or ask it for a model that runs there.',
    {
      fault: 'bad_answer',
      code: 'egress_violation',
      retryable: false,
      backend,
      ...(named === undefined ? {} : { egress: named }),
    },
  );
}
