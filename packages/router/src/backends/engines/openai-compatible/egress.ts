import { BackendError } from '../../../core/errors.ts';
import type { HttpResponse } from '../../http/client.ts';
import type { JsonValue } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';

/**
 * The error where an answer of the local tier says that its prompt left the network, as another LFO does in the head of
 * its answer (`x-lfo-egress`).
 */
export function violationIn({ headers }: Pick<HttpResponse, 'headers'>, backend: string): BackendError | undefined {
  const egress = headers['x-lfo-egress'];
  return egress === undefined || egress === 'none' ? undefined : egressViolation(backend);
}

/** Throws where `lfo_metadata`, in the last chunk, says so. */
export function checkMetadata(metadata: JsonValue | undefined, backend: string): void {
  const egress = isJsonObject(metadata) ? metadata['egress'] : undefined;
  if (egress !== undefined && egress !== null && egress !== 'none') throw egressViolation(backend);
}

/** A backend of the local tier would answer, or has answered, from outside the user's network. */
export function egressViolation(backend: string): BackendError {
  return new BackendError(
    'A backend of the local tier answers by way of a cloud, so its answer was thrown away; set its tier to cloud, or ask it for a model that runs there.',
    { fault: 'bad_answer', code: 'egress_violation', retryable: false, backend },
  );
}
