import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import type { AnswerWriter, Delivery } from '@lfo/router/src/core/sink.ts';

/** Writes scripted events as the pipeline would, one at a time, and their failure as it would. */
export async function playAnswer(events: AsyncIterable<InferenceEvent>, writer: AnswerWriter): Promise<Delivery> {
  try {
    for await (const event of events) await writer.write([event]);
    return await writer.end();
  } catch (error) {
    return await writer.fail(error);
  }
}
