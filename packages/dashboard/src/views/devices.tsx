import { useEffect, useState } from 'preact/hooks';
import type { DeviceView } from '@lfo/router/src/admin/wire.ts';
import { ApiError, ask, change } from '../api/client.ts';
import { useResource } from '../api/resource.ts';
import { count, dayAndTime, duration, plural, rate } from '../format.ts';
import { Command } from '../parts/command.tsx';
import { Link } from '../parts/link.tsx';
import { Failure, Loading } from '../parts/states.tsx';
import { Fact } from '../parts/fact.tsx';

const lookMs = 2_000;

interface DevicesBody {
  readonly devices: readonly DeviceView[];
  readonly port: number | null;
}

interface PairingBody {
  readonly id: string;
  readonly uri: string;
  readonly code: string;
  readonly expires: string;
  readonly qr: string;
}

interface PairingState {
  /** `lost`: the router does not know it any more. */
  readonly state: 'open' | 'used' | 'expired' | 'locked' | 'cancelled' | 'failed' | 'lost';
  readonly device?: DeviceView;
}

/** Paired phones, laptops and boards: how each is, and how another joins. */
export function Devices() {
  const { value, error, reload } = useResource<DevicesBody>('/admin/devices', lookMs);
  if (value === undefined) return error === undefined ? <Loading /> : <Failure error={error} retry={reload} />;
  const { devices } = value;
  return (
    <section class="devices" aria-label="Devices">
      <div class="section-head">
        <h2>Devices</h2>
        <span class="hint">{devices.length === 0 ? '' : plural(devices.length, 'device')}</span>
        <Pairing isFirst={devices.length === 0} onPaired={reload} />
      </div>
      {devices.length > 0 && (
        <ul class="fleet">
          {devices.map((device) => (
            <Device key={device.id} device={device} onChange={reload} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** Shows a code while it is open, and says when a device has taken it. */
function Pairing({ isFirst, onPaired }: { isFirst: boolean; onPaired: () => void }) {
  const [pairing, setPairing] = useState<PairingBody | undefined>(undefined);
  const [end, setEnd] = useState<PairingState | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const begin = async (): Promise<void> => {
    setEnd(undefined);
    setError(undefined);
    try {
      const response = await change('POST', '/admin/devices/pairings', {});
      const begun: PairingBody = await response.json();
      setPairing(begun);
    } catch (thrown) {
      setError(messageOf(thrown));
    }
  };
  const cancel = (): void => {
    if (pairing !== undefined) void change('DELETE', `/admin/devices/pairings/${pairing.id}`).catch(() => undefined);
    setPairing(undefined);
  };
  useEffect(() => {
    if (pairing === undefined) return undefined;
    const look = async (): Promise<void> => {
      const now = await ask<PairingState>(`/admin/devices/pairings/${pairing.id}`).catch(lostOf);
      if (now === undefined || now.state === 'open') return;
      setPairing(undefined);
      setEnd(now);
      onPaired();
    };
    const timer = setInterval(() => void look(), 1_000);
    return () => clearInterval(timer);
  }, [pairing]);
  return (
    <>
      {pairing === undefined && (
        <button type="button" class="primary" onClick={() => void begin()}>
          {isFirst ? 'Pair your first device' : 'Pair a device'}
        </button>
      )}
      {error !== undefined && (
        <p class="error full-line" role="alert">
          {error}
        </p>
      )}
      {end !== undefined && (
        <p class={`full-line ${end.state === 'used' ? 'done' : 'error'}`} role="status">
          {endOf(end)}
        </p>
      )}
      {pairing !== undefined && <OpenPairing pairing={pairing} cancel={cancel} />}
      {pairing === undefined && isFirst && <FirstDevice />}
    </>
  );
}

/** A router that cannot be reached now may know it later. */
function lostOf(error: unknown): PairingState | undefined {
  return error instanceof ApiError && error.status === 404 ? { state: 'lost' } : undefined;
}

function OpenPairing({ pairing, cancel }: { pairing: PairingBody; cancel: () => void }) {
  const { uri, code, expires, qr } = pairing;
  const leftMs = useCountdown(Date.parse(expires));
  return (
    <div class="card pairing full-line">
      <img class="qr" src={`data:image/svg+xml,${encodeURIComponent(qr)}`} alt="QR code that pairs a device" />
      <div>
        <p>
          Scan the code with the LFO app, or on a laptop or board with LFO run the command. The code works once and ends
          in <span class="number">{clockOf(leftMs)}</span>.
        </p>
        <p class="code" aria-label="Pairing code">
          {code}
        </p>
        <Command text={`lfo device --pair '${uri}'`} />
        <p class="actions">
          <button type="button" onClick={cancel}>
            Cancel
          </button>
          <span class="hint">Compare the fingerprint on both screens once it is paired.</span>
        </p>
      </div>
    </div>
  );
}

function FirstDevice() {
  return (
    <div class="empty full-line">
      <p class="empty-title">No phone, laptop or board has joined yet.</p>
      <p>
        A paired device answers <code>local</code> requests over an encrypted link on your own network. Press the button
        for a code; on a machine without LFO, <code>lfo devices pair</code> prints one line to paste. To see a fleet at
        work without owning one:
      </p>
      <Command text="lfo demo" />
    </div>
  );
}

function Device({ device, onChange }: { device: DeviceView; onChange: () => void }) {
  const { name, fingerprint, os, app, why, models } = device;
  const [tone, state] = stateOf(device);
  return (
    <li class="card backend device">
      <div class="card-head">
        <h3>{name}</h3>
        <span class="state">
          <span class={`dot ${tone}`} aria-hidden="true" />
          {state}
        </span>
      </div>
      <p class="models">{models.length === 0 ? 'no model offered now' : models.map(({ id }) => id).join(', ')}</p>
      {why !== null && <p class={`detail ${tone === 'bad' ? 'error' : ''}`}>{why}</p>}
      <dl class="readings">
        {readingsOf(device).map(([label, value]) => (
          <Fact key={label} name={label} value={value} />
        ))}
      </dl>
      <LastError device={device} />
      <p class="about">{[os, app, fingerprint].filter((part) => part !== null).join(' · ')}</p>
      <DeviceActions device={device} onChange={onChange} />
    </li>
  );
}

function LastError({ device: { last_error: last } }: { device: DeviceView }) {
  if (last === null) return null;
  return (
    <p class="detail last-error">
      <span class="dim">Last error, {dayAndTime(Date.parse(last.at))}:</span> {last.message}
    </p>
  );
}

/** States of a device that listens. */
const canLoad: ReadonlySet<DeviceView['state']> = new Set(['ready', 'paused', 'draining']);

function DeviceActions({
  device: { id, name, state, models },
  onChange,
}: {
  device: DeviceView;
  onChange: () => void;
}) {
  const [mode, setMode] = useState<'idle' | 'rename' | 'remove'>('idle');
  const [error, setError] = useState<string | undefined>(undefined);
  const path = `/admin/devices/${encodeURIComponent(id)}`;
  const act = async (method: 'POST' | 'PATCH' | 'DELETE', to: string, body?: unknown): Promise<void> => {
    try {
      await change(method, to, body);
      setError(undefined);
      setMode('idle');
      onChange();
    } catch (thrown) {
      setError(messageOf(thrown));
    }
  };
  const isDraining = state === 'draining';
  const [model] = models;
  // A device whose model is not in memory offers none.
  const loading = !canLoad.has(state) ? undefined : model?.resident === true ? 'unload' : 'load';
  return (
    <div class="actions">
      {mode === 'idle' && (
        <>
          <Link to={`/requests?backend=${encodeURIComponent(id)}`}>Requests</Link>
          <button type="button" onClick={() => setMode('rename')}>
            Rename
          </button>
          <button type="button" onClick={() => void act('POST', `${path}/${isDraining ? 'resume' : 'drain'}`, {})}>
            {isDraining ? 'Resume' : 'Drain'}
          </button>
          {loading !== undefined && (
            <button type="button" onClick={() => void act('POST', `${path}/${loading}`, {})}>
              {loading === 'load' ? 'Load model' : 'Unload model'}
            </button>
          )}
          <button type="button" class="danger" onClick={() => setMode('remove')}>
            Remove
          </button>
        </>
      )}
      {mode === 'rename' && (
        <RenameForm name={name} cancel={() => setMode('idle')} rename={(to) => void act('PATCH', path, { name: to })} />
      )}
      {mode === 'remove' && (
        <>
          <span>Its key ends at once, and it must pair again.</span>
          <button type="button" class="danger" onClick={() => void act('DELETE', path)}>
            Remove {name}
          </button>
          <button type="button" onClick={() => setMode('idle')}>
            Keep
          </button>
        </>
      )}
      {error !== undefined && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </div>
  );
}

interface RenameProps {
  readonly name: string;
  readonly rename: (to: string) => void;
  readonly cancel: () => void;
}

function RenameForm({ name, rename, cancel }: RenameProps) {
  const [wanted, setWanted] = useState(name);
  return (
    <form
      class="rename"
      onSubmit={(event) => {
        event.preventDefault();
        rename(wanted.trim());
      }}
    >
      <input
        type="text"
        aria-label={`New name of ${name}`}
        value={wanted}
        maxLength={32}
        onInput={(event) => setWanted(event.currentTarget.value)}
      />
      <button type="submit">Save</button>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </form>
  );
}

/** What is not known is left out. */
function readingsOf(device: DeviceView): readonly (readonly [label: string, value: string])[] {
  const { models, in_flight: inFlight, rtt_ms: rttMs, battery, thermal, session, clipped } = device;
  const [model] = models;
  const queued = models.reduce((sum, each) => sum + each.queued, 0);
  const slots = models.reduce((sum, each) => sum + each.slots, 0);
  const lost = Object.values(clipped).reduce((sum, each) => sum + each, 0);
  const readings: readonly (readonly [string, string | undefined])[] = [
    ['Requests here now', slots === 0 ? count(inFlight) : `${count(inFlight)} of ${count(slots)}`],
    ['Queued there', queued === 0 ? undefined : count(queued)],
    ['Reads', model?.prefill_tps === null || model === undefined ? undefined : rate(model.prefill_tps)],
    ['Writes', model?.decode_tps === null || model === undefined ? undefined : rate(model.decode_tps)],
    ['Round trip', rttMs === null ? undefined : duration(rttMs)],
    ['Battery', battery === null ? undefined : batteryOf(battery)],
    ['Heat', thermal === null ? undefined : (heats[thermal.status] ?? String(thermal.status))],
    ['Lost links resumed', session === null || session.resumes === 0 ? undefined : plural(session.resumes, 'time')],
    ['Fields cut or dropped', lost === 0 ? undefined : plural(lost, 'field')],
    ['Last seen', device.state === 'offline' ? seenOf(device) : undefined],
    ['Tried again', device.ejected_until === null ? undefined : dayAndTime(Date.parse(device.ejected_until))],
  ];
  return readings.flatMap(([label, value]) => (value === undefined ? [] : [[label, value]]));
}

const heats = ['none', 'light', 'moderate', 'severe', 'critical', 'emergency', 'shutting down'];

function batteryOf({ pct, charging, saver }: NonNullable<DeviceView['battery']>): string {
  return `${pct} %${charging ? ', charging' : ''}${saver === true ? ', saver' : ''}`;
}

function seenOf({ last_seen: seen }: DeviceView): string | undefined {
  return seen === null ? 'never' : dayAndTime(Date.parse(seen));
}

function stateOf({ state, code }: DeviceView): readonly ['good' | 'warn' | 'bad', string] {
  switch (state) {
    case 'ready':
      return ['good', 'ready'];
    case 'offline':
    case 'conflict':
      return ['bad', state];
    case 'paused':
      return ['warn', code === null ? 'paused' : `paused: ${code}`];
    case 'ejected':
      return ['warn', 'left alone for a while'];
    default:
      return ['warn', state];
  }
}

function endOf({ state, device }: PairingState): string {
  switch (state) {
    case 'used':
      return device === undefined
        ? 'A device has paired.'
        : `${device.name} is paired. Its fingerprint: ${device.fingerprint ?? 'not known'}`;
    case 'expired':
      return 'The code has expired without a device.';
    case 'locked':
      return 'Too many wrong codes were tried, so the code has ended. Look at who is on your network, and start another.';
    case 'lost':
      return 'The code has ended: the router was started anew. Start another.';
    case 'failed':
      return 'The device could not be paired.';
    default:
      return 'The pairing was cancelled.';
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'That did not work.';
}

/** Milliseconds left, told each second. */
function useCountdown(untilMs: number): number {
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return Math.max(0, untilMs - nowMs);
}

function clockOf(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
