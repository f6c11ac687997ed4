const longest = 28;

/** What a device may be called. */
export const deviceNamePattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** The first name of a device, made of what it calls itself; a number is added where the name is taken. */
export function firstName(said: string | undefined, isTaken: (name: string) => boolean): string {
  const plain = Array.from(said ?? '')
    .slice(0, 64)
    .join('')
    .toLowerCase()
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, longest)
    .replace(/-+$/, '');
  const name = plain === '' ? 'device' : plain;
  if (!isTaken(name)) return name;
  for (let number = 2; ; number++) if (!isTaken(`${name}-${number}`)) return `${name}-${number}`;
}
