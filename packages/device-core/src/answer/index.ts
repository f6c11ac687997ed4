export * from './answer-writer.ts';
export * from './scores.ts';
