/** Whether a field holds a value: on the wire an explicit null is as good as absence. */
export function isGiven<T>(field: T | null | undefined): field is T {
  return field !== null && field !== undefined;
}
