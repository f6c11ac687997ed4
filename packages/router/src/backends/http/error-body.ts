import type { Clock } from '../../core/clock.ts';
import type { HttpResponse } from './client.ts';
import { readTextBody } from './json-body.ts';

/** An error body longer than this tells nothing more. */
const maxErrorBytes = 65_536;

/** The status has decided already; a body that tells more comes with it or not at all. */
const errorBodyMs = 250;

/**
 * Text of the body of an error answer; empty where it does not come at once, is too long or breaks off. The response is
 * then destroyed.
 */
export async function readErrorBody({ body }: HttpResponse, backend: string, clock: Clock): Promise<string> {
  let cancel = (): void => undefined;
  const late = new Promise<string>((resolve) => {
    cancel = clock.schedule(errorBodyMs, () => {
      body.destroy();
      resolve('');
    });
  });
  try {
    return await Promise.race([readTextBody(body, { backend, maxBytes: maxErrorBytes }).catch(() => ''), late]);
  } finally {
    cancel();
  }
}
