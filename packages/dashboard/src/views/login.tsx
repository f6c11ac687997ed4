import { useEffect, useRef, useState } from 'preact/hooks';
import { loadSession, post } from '../api/client.ts';
import { follow } from '../api/live.ts';
import { go, place } from '../navigation.ts';
import { icons } from '../parts/icons.tsx';

/** Asks for a key, once: the browser keeps a session instead. */
export function LoginView() {
  const [error, setError] = useState<string | undefined>(undefined);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Log in · LFO';
    field.current?.focus();
  }, []);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await post('/dashboard/login', { key: field.current?.value.trim() ?? '' });
      await loadSession();
      follow();
      go(nextPlace(), 'replace');
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : 'Logging in failed.');
      setBusy(false);
      field.current?.select();
    }
  };
  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)}>
        <div class="brand">
          {icons.logo}
          <span>LFO</span>
        </div>
        <h1>Log in</h1>
        <label for="key">Key</label>
        <input
          id="key"
          ref={field}
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="key-help"
          aria-invalid={error !== undefined}
        />
        <p id="key-help" class="hint">
          The one in <code>LFO_AUTH_TOKEN</code>, or one with the admin scope:{' '}
          <code>lfo keys create --name me --scope admin</code>
        </p>
        {error !== undefined && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Logging in…' : 'Log in'}
        </button>
      </form>
    </main>
  );
}

/** Only places of the dashboard, whatever the address says. */
function nextPlace(): string {
  const next = place.value.query.get('next') ?? '';
  return /^\/(?!login)[\w-]+(\/[\w-]+)?(\?[^#]*)?$/.test(next) ? next : '/now';
}
