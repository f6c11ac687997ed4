import { fingerprint, readKeyText } from '@lfo/protocol';
import type { BackendView } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { DeviceModelView, DeviceView } from '../core/device-view.ts';
import type { DeviceFigures } from '../core/devices.ts';
import { conflictDetail, type PairedDevice } from './paired-device.ts';
import { primitives } from './router-key.ts';

/** Shows a device as it is now. */
export function deviceView(device: PairedDevice, clock: Clock, pooled: BackendView | undefined): DeviceView {
  const { record, backend, hello, link, wake } = device;
  const { id, name, publicKey, dial, createdMs, lastSeenMs, lastAddress } = record;
  const key = publicKey === undefined ? undefined : readKeyText(publicKey);
  const { state, code, why } = stateOf(device, pooled);
  const { lastError } = backend;
  const said = backend.state;
  return {
    id,
    name,
    state,
    code,
    why,
    fingerprint: key === undefined ? null : fingerprint(primitives, key),
    app: hello?.app ?? null,
    os: hello?.os ?? null,
    engine: hello?.engine ?? null,
    address: link?.address ?? lastAddress ?? null,
    dial: dial ?? null,
    wake: wake === undefined ? null : { mac: wake.mac, broadcast: wake.broadcast, timeout_ms: wake.timeoutMs },
    created: new Date(createdMs).toISOString(),
    last_seen: isoOf(link === undefined ? lastSeenMs : clock.wallMs()),
    models: backend.offers.map((offer): DeviceModelView => {
      const now = said?.models.find((model) => model.id === offer.id);
      const rates = pooled?.offers?.find(({ model }) => model === offer.id)?.rates;
      return {
        id: offer.id,
        ctx: offer.ctx ?? null,
        caps: offer.caps,
        quant: offer.quant ?? null,
        resident: now?.resident ?? offer.resident,
        slots: now?.slots ?? offer.slots,
        active: now?.active ?? 0,
        queued: now?.queued ?? 0,
        prefill_tps: rounded(rates?.prefillRate),
        decode_tps: rounded(rates?.decodeRate),
      };
    }),
    battery: said?.battery ?? null,
    thermal: said?.thermal ?? null,
    rtt_ms: rounded(backend.rttMs),
    in_flight: pooled?.inFlight ?? 0,
    ejected_until: isoOf(pooled?.ejectedMs === undefined ? undefined : clock.wallMs() + pooled.ejectedMs),
    last_error:
      lastError === undefined
        ? null
        : { code: lastError.code, message: lastError.message, at: new Date(lastError.atMs).toISOString() },
    session: backend.session === undefined ? null : { id: backend.session.id, resumes: backend.session.resumes },
    clipped: Object.fromEntries(device.clipped),
  };
}

function stateOf(device: PairedDevice, pooled: BackendView | undefined): Pick<DeviceView, 'state' | 'code' | 'why'> {
  if (device.isInConflict) return { state: 'conflict', code: 'duplicate_identity', why: conflictDetail };
  if (device.link === undefined) return { state: 'offline', code: null, why: device.backend.status().detail ?? null };
  const said = device.backend.state;
  const code = said?.code ?? null;
  const why = said?.why ?? null;
  if (device.isDraining) return { state: 'draining', code, why };
  if (pooled?.ejectedMs !== undefined) return { state: 'ejected', code: 'ejected', why: ejectedDetail };
  if (said === undefined || said.code === 'loading') return { state: 'loading', code, why };
  return { state: said.accepting ? 'ready' : 'paused', code, why };
}

const ejectedDetail =
  'It failed, or answered far later than expected, three times in a row; it is tried again by itself.';

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** What the metrics show of a device. */
export function figuresOf(
  { record, link, backend, ends, resumes, ejections, clipped }: PairedDevice,
  pooled: BackendView | undefined,
): DeviceFigures {
  const { battery, thermal, models = [] } = backend.state ?? {};
  const { prefillRate, decodeRate } = pooled?.offers?.[0]?.rates ?? {};
  return {
    name: record.name,
    isUp: link !== undefined,
    queued: models.reduce((sum, { queued }) => sum + queued, 0),
    ...(battery === undefined ? {} : { battery: battery.pct / 100 }),
    ...(thermal === undefined ? {} : { thermal: thermal.status }),
    ...(prefillRate === undefined ? {} : { prefillRate }),
    ...(decodeRate === undefined ? {} : { decodeRate }),
    ends,
    resumes,
    ejections,
    clipped,
    ...(backend.rttMs === undefined ? {} : { rttMs: backend.rttMs }),
  };
}
