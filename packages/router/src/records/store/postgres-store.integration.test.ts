import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { PostgresStore } from './postgres-store.ts';
import { describeStore } from './store-contract.ts';

const server = postgresOfFile();

const urls = new WeakMap<object, string>();

describeStore(
  'postgresql',
  {
    async open(t) {
      const url = await server().database();
      const store = new PostgresStore(url);
      t.after(() => store.close());
      urls.set(store, url);
      return store;
    },
    async openAgain(t, first) {
      const store = new PostgresStore(urls.get(first) ?? '');
      t.after(() => store.close());
      return store;
    },
  },
  { skip: withoutPostgres },
);
