import { createHash } from 'node:crypto';
import { isObject } from './check-fields.ts';

/** A signature belongs to one call and is refused on any other, as Gemini's are. */
export function signatureFor(name: string, args: unknown): string {
  return createHash('sha512')
    .update(`${name} ${JSON.stringify(args)}`)
    .digest('base64');
}

/** Whether the part's signature is its own call's, or Google's documented sentinel. */
export function isValidSignature(part: Readonly<Record<string, unknown>>): boolean {
  const { thoughtSignature, functionCall } = part;
  if (thoughtSignature === 'skip_thought_signature_validator') return true;
  return (
    isObject(functionCall) && thoughtSignature === signatureFor(String(functionCall['name']), functionCall['args'])
  );
}
