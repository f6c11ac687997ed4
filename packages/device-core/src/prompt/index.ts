export * from './gemma-prompt.ts';
export * from './special-text.ts';
