/** A rough count for so many bytes or UTF-16 units of text and code: most languages have about four to a token. */
export function tokensOf(units: number): number {
  return Math.ceil(units / 4);
}
