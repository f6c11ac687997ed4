import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { post, session } from '../api/client.ts';
import { connection, status } from '../api/live.ts';
import { count, plural } from '../format.ts';
import { hrefOf } from '../navigation.ts';
import { followShortcuts, shortcuts } from '../shortcuts.ts';
import { chooseTheme, theme } from '../theme.ts';
import { icons } from './icons.tsx';
import { Link } from './link.tsx';

const views = [
  { to: '/now', name: 'Now', icon: icons.now },
  { to: '/requests', name: 'Requests', icon: icons.requests },
  { to: '/trends', name: 'Trends', icon: icons.trends },
  { to: '/confidence', name: 'Confidence', icon: icons.confidence },
  { to: '/fleet', name: 'Fleet', icon: icons.fleet },
  { to: '/keys', name: 'Keys', icon: icons.keys },
  { to: '/playground', name: 'Playground', icon: icons.playground },
  { to: '/settings', name: 'Settings', icon: icons.settings },
] as const;

/** The frame around every view: where one is, where one can go, and how LFO is. */
export function Shell({ path, children }: { path: string; children: ComponentChildren }) {
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="side">
        <Link to="/now" class="brand" aria-label="LFO dashboard">
          {icons.logo}
          <span>LFO</span>
        </Link>
        <nav aria-label="Views">
          {views.map(({ to, name, icon }) => (
            <Link
              key={to}
              to={to}
              class="tab"
              aria-current={path === to ? 'page' : path.startsWith(`${to}/`) ? 'true' : undefined}
            >
              {icon}
              <span>{name}</span>
            </Link>
          ))}
        </nav>
        <Health />
        <ThemeChoice />
        {session.value?.needsKey === true && (
          <button type="button" class="quiet logout" onClick={() => void logOut()}>
            Log out
          </button>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        <Notices />
        {children}
      </main>
      <ShortcutList />
    </div>
  );
}

function ThemeChoice() {
  return (
    <div class="theme">
      <label for="theme" class="unseen">
        Colours
      </label>
      <select
        id="theme"
        value={theme.value}
        onChange={({ currentTarget: { value } }) => chooseTheme(value === 'light' || value === 'dark' ? value : 'auto')}
      >
        <option value="auto">Auto</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </div>
  );
}

/** The keys that lead somewhere; opened by `?`. */
function ShortcutList() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => followShortcuts(() => dialog.current?.showModal()), []);
  return (
    <dialog ref={dialog} aria-label="Keyboard shortcuts">
      <h2>Keyboard</h2>
      <dl class="readings">
        {[...shortcuts, ['/', 'Find a request by its id', ''] as const, ['?', 'This list', ''] as const].map(
          ([keys, what]) => (
            <div key={keys}>
              <dt>{what}</dt>
              <dd>
                <kbd>{keys}</kbd>
              </dd>
            </div>
          ),
        )}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

function Health() {
  const [tone, text] = healthOf();
  return (
    <p class="health" role="status">
      <span class={`dot ${tone}`} aria-hidden="true" />
      {text}
    </p>
  );
}

function healthOf(): readonly ['good' | 'warn' | 'bad', string] {
  if (connection.value === 'lost') return ['bad', 'Connection lost, trying again'];
  const now = status.value;
  if (now === undefined) return ['warn', 'Connecting'];
  if (!now.ready) return ['bad', 'Not ready'];
  const ready = now.backends.filter(({ state }) => state === 'ready').length;
  return [
    ready === now.backends.length ? 'good' : 'warn',
    `${count(ready)} of ${plural(now.backends.length, 'backend')} ready`,
  ];
}

function Notices() {
  const now = status.value;
  if (connection.value === 'lost') {
    return (
      <p class="notice" role="alert">
        LFO does not answer. What is shown may be old; it will move again by itself once LFO is back.
      </p>
    );
  }
  const problem = now?.problem ?? null;
  if (problem !== null) {
    return (
      <p class="notice" role="alert">
        <strong>LFO runs, but cannot answer: {problem.what}</strong> Fix: {problem.fix}
      </p>
    );
  }
  if (now?.records.degraded !== true) return null;
  return (
    <p class="notice" role="alert">
      The database refuses rows, so what happens now may be missing later
      {now.records.dropped > 0 && ` (${plural(now.records.dropped, 'row')} lost so far)`}. Requests are served all the
      same. Check the disk of the data folder; <code>lfo doctor</code> names the fault.
    </p>
  );
}

/** Leaves the page, and with it whatever it remembers. */
async function logOut(): Promise<void> {
  await post('/dashboard/logout', {});
  location.assign(hrefOf('/login'));
}
