import { z } from 'zod';
import type { Capture } from '../capture-types.ts';
import { parseJson } from '../../core/json.ts';

const calls = z.array(z.object({ name: z.string(), arguments: z.string() }));
const capture = z.object({
  messages: z.array(
    z.object({
      role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
      text: z.string(),
      attachments: z.array(z.string()),
      calls,
    }),
  ),
  tools: z.array(z.string()),
  answer: z.object({ text: z.string(), reasoning: z.string(), refusal: z.string(), calls }),
  isCut: z.boolean(),
});

/** The words column; `null` where it cannot be read. */
export function viewCapture(words: string): Capture | null {
  return capture.safeParse(parseJson(words)).data ?? null;
}
