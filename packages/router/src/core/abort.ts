/** A controller that a parent ends too, and that can be ended alone; `release` unhooks it from the parent. */
export interface ChildAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  release(): void;
}

/** Derives an abort from `parent`; cheaper than `AbortSignal.any` and leaves no listener behind once released. */
export function childOf(parent: AbortSignal): ChildAbort {
  const controller = new AbortController();
  if (parent.aborted) controller.abort(parent.reason);
  const onAbort = (): void => controller.abort(parent.reason);
  parent.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    release: () => parent.removeEventListener('abort', onAbort),
  };
}
