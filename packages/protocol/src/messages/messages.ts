import type * as z from 'zod';
import { deviceMessage, exactDeviceMessage } from './device-messages.ts';
import { routerMessage } from './router-messages.ts';
import type { message, part, tool } from './shapes.ts';

/** Versions this build speaks, highest first. Adding fields is no new version. */
export const protocolVersions = [1] as const;

export type DeviceMessage = z.infer<typeof deviceMessage>;
export type RouterMessage = z.infer<typeof routerMessage>;
/** One message out of a union by its tag. */
export type MessageOf<M extends { t: string }, T extends M['t']> = Extract<M, { t: T }>;
export type WireMessage = z.infer<typeof message>;
export type WireTool = z.infer<typeof tool>;
export type AnswerPart = z.infer<typeof part>;
/** A model as a device offers it. */
export type ModelOffer = MessageOf<DeviceMessage, 'hello'>['models'][number];
/** What does not change while a model is loaded. */
export type ModelInfo = Omit<ModelOffer, 'ctx' | 'resident' | 'load_ms' | 'slots'> & { readonly ctx: number };

/** A message that was read, or where it does not fit. */
export type MessageRead<M> =
  | {
      readonly message: M;
      /** Fields that were cut or left out, by their path without indices. */
      readonly clipped: readonly string[];
    }
  | { readonly misfit: string };

/** Knows the messages of one direction. */
export interface MessageReader<M> {
  readonly types: ReadonlySet<string>;
  read(value: unknown): MessageRead<M>;
}

/** Reads what devices say. */
export const deviceMessages: MessageReader<DeviceMessage> = {
  types: typesOf(deviceMessage.options),
  read(value) {
    const exact = exactDeviceMessage.safeParse(value);
    if (exact.success) return { message: exact.data, clipped: [] };
    const taken = deviceMessage.safeParse(value);
    if (!taken.success) return { misfit: pathOf(taken.error.issues[0]) };
    return { message: taken.data, clipped: [...new Set(exact.error.issues.map(pathOf))] };
  },
};

/** Reads what the router says. */
export const routerMessages: MessageReader<RouterMessage> = {
  types: typesOf(routerMessage.options),
  read(value) {
    const read = routerMessage.safeParse(value);
    return read.success ? { message: read.data, clipped: [] } : { misfit: pathOf(read.error.issues[0]) };
  },
};

function pathOf(issue: { readonly path: readonly PropertyKey[] } | undefined): string {
  return issue?.path.filter((step) => typeof step === 'string').join('.') ?? '';
}

function typesOf(
  options: readonly { readonly shape: { readonly t: { readonly value: string } } }[],
): ReadonlySet<string> {
  return new Set(options.map((option) => option.shape.t.value));
}
