// What this package may use of its surroundings: no more than Node, browsers and React Native's Hermes all have.
// Signals of React Native know neither their reason nor `throwIfAborted`.

interface AbortSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
