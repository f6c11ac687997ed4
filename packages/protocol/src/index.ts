export * from './carrier.ts';
export * from './channel.ts';
export * from './clock.ts';
export * from './delta-sequence.ts';
export * from './frame.ts';
export * from './link.ts';
export * from './messages.ts';
