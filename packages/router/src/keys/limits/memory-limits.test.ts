import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { Consumption, KeyLimits } from '../../core/identity.ts';
import { nothing, plus } from './limit-store.ts';
import { describeLimits } from './limits-contract.ts';
import type { LimitAnswer, LimitAsk, LimitStore } from './limit-store.ts';
import { MemoryLimits } from './memory-limits.ts';

/** Days are the ledger's, which whoever asks keeps. */
class Keeping implements LimitStore {
  readonly #used = new Map<string, Consumption>();
  readonly #inner = new MemoryLimits(new FakeClock(), { today: (id) => this.#used.get(id) ?? nothing });

  take(ask: LimitAsk): LimitAnswer {
    const answer = this.#inner.take(ask);
    if (answer.type !== 'granted') return answer;
    this.#add(ask.keyId, { requests: 1, tokens: 0, usd: 0 });
    return {
      ...answer,
      settle: (used) => {
        this.#add(ask.keyId, { requests: 0, ...used });
        answer.settle(used);
      },
    };
  }

  look(keyId: string, limits: KeyLimits) {
    return this.#inner.look(keyId, limits);
  }

  async close(): Promise<void> {}

  #add(keyId: string, used: Consumption): void {
    this.#used.set(keyId, plus(this.#used.get(keyId) ?? nothing, used));
  }
}

describeLimits('memory', async () => [new Keeping()], 1);
