import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { loadSession, session } from './api/client.ts';
import { loadKeyNames } from './api/keys.ts';
import { follow } from './api/live.ts';
import { place } from './navigation.ts';
import { Shell } from './parts/shell.tsx';
import { CompareView } from './views/compare.tsx';
import { ConfidenceView } from './views/confidence.tsx';
import { ErrorsView } from './views/errors.tsx';
import { FleetView } from './views/fleet.tsx';
import { KeysView } from './views/keys.tsx';
import { LoginView } from './views/login.tsx';
import { NotFoundView } from './views/not-found.tsx';
import { NowView } from './views/now.tsx';
import { PlaygroundView } from './views/playground.tsx';
import { RequestPage } from './views/request.tsx';
import { RequestsView } from './views/requests.tsx';
import { SettingsView } from './views/settings.tsx';
import { TrendsView } from './views/trends.tsx';

/** The whole dashboard: the form alone, or a view in its frame. */
export function App() {
  const { path } = place.value;
  if (path === '/login') return <LoginView />;
  return <Inside path={path} />;
}

function Inside({ path }: { path: string }) {
  const { title, view } = viewOf(path);
  const isFirst = useRef(true);
  useEffect(() => {
    performance.mark('lfo:interactive');
    if (session.value === undefined) loadSession().then(follow, () => follow());
    void loadKeyNames();
  }, []);
  useEffect(() => {
    document.title = `${title} · LFO`;
    // Who listens rather than looks is told of the new view by its heading; the first one is read anyway.
    if (!isFirst.current) document.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [path, title]);
  return <Shell path={path}>{view}</Shell>;
}

function viewOf(path: string): { title: string; view: ComponentChildren } {
  const [, name, id] = path.split('/');
  if (name === 'requests' && id !== undefined) return { title: 'Request', view: <RequestPage key={id} id={id} /> };
  switch (path) {
    case '/now':
      return { title: 'Now', view: <NowView /> };
    case '/requests':
      return { title: 'Requests', view: <RequestsView /> };
    case '/compare':
      return { title: 'Compare', view: <CompareView /> };
    case '/trends':
      return { title: 'Trends', view: <TrendsView /> };
    case '/confidence':
      return { title: 'Confidence', view: <ConfidenceView /> };
    case '/fleet':
      return { title: 'Fleet', view: <FleetView /> };
    case '/errors':
      return { title: 'Errors', view: <ErrorsView /> };
    case '/keys':
      return { title: 'Keys', view: <KeysView /> };
    case '/settings':
      return { title: 'Settings', view: <SettingsView /> };
    case '/playground':
      return { title: 'Playground', view: <PlaygroundView /> };
    default:
      return { title: 'Not found', view: <NotFoundView /> };
  }
}
