/** Waiting items of several owners; owners take turns, the items of one keep their order. */
export class FairQueue<Item> {
  /** Owners in the order of their next turn. */
  readonly #lines = new Map<string, Set<Item>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(owner: string, item: Item): void {
    const line = this.#lines.get(owner) ?? new Set<Item>();
    this.#lines.set(owner, line.add(item));
    this.#size++;
  }

  /** Takes an item out; when it was served, its owner goes to the end of the round. False if it was not there. */
  delete(owner: string, item: Item, wasServed: boolean): boolean {
    const line = this.#lines.get(owner);
    if (line?.delete(item) !== true) return false;
    this.#size--;
    if (line.size === 0 || wasServed) this.#lines.delete(owner);
    if (line.size > 0 && wasServed) this.#lines.set(owner, line);
    return true;
  }

  /** In the order of service: first of each owner, second of each owner … Items may be taken out meanwhile. */
  *inOrder(): Generator<{ readonly owner: string; readonly item: Item }, void> {
    let lines = Array.from(this.#lines, ([owner, line]) => ({ owner, items: line.values() }));
    while (lines.length > 0) {
      const unfinished: typeof lines = [];
      for (const line of lines) {
        const { done, value } = line.items.next();
        if (done === true) continue;
        unfinished.push(line);
        yield { owner: line.owner, item: value };
      }
      lines = unfinished;
    }
  }
}
