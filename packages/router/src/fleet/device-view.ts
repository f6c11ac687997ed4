import { fingerprint, readKeyText } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import type { DeviceFigures, DialAddress } from '../core/devices.ts';
import { conflictDetail, type PairedDevice } from './paired-device.ts';
import { primitives } from './router-key.ts';

export type DeviceState = 'ready' | 'loading' | 'paused' | 'draining' | 'offline' | 'conflict';

/** A device as the admin API, the command line and the dashboard show it; `null` is not known. */
export interface DeviceView {
  readonly id: string;
  readonly name: string;
  readonly state: DeviceState;
  readonly code: string | null;
  readonly why: string | null;
  readonly fingerprint: string | null;
  readonly app: string | null;
  readonly os: string | null;
  readonly engine: { readonly name?: string | undefined; readonly version?: string | undefined } | null;
  readonly address: string | null;
  readonly dial: DialAddress | null;
  readonly created: string;
  readonly last_seen: string | null;
  readonly models: readonly DeviceModelView[];
  readonly battery: { readonly pct: number; readonly charging: boolean; readonly saver?: boolean | undefined } | null;
  readonly thermal: { readonly status: number; readonly headroom?: number | undefined } | null;
  readonly rtt_ms: number | null;
  /** `resumes`: how often it came back in the middle of this session. */
  readonly session: { readonly id: string; readonly resumes: number } | null;
  /** Fields of its messages that were cut or left out, counted. */
  readonly clipped: Readonly<Record<string, number>>;
}

export interface DeviceModelView {
  readonly id: string;
  readonly ctx: number | null;
  readonly caps: readonly string[];
  readonly quant: string | null;
  readonly resident: boolean;
  readonly slots: number;
  readonly active: number;
  readonly queued: number;
}

/** Shows a device as it is now. */
export function deviceView(device: PairedDevice, clock: Clock): DeviceView {
  const { record, backend, hello, link } = device;
  const { id, name, publicKey, dial, createdMs, lastSeenMs, lastAddress } = record;
  const key = publicKey === undefined ? undefined : readKeyText(publicKey);
  const { state, code, why } = stateOf(device);
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
    created: new Date(createdMs).toISOString(),
    last_seen: isoOf(link === undefined ? lastSeenMs : clock.wallMs()),
    models: backend.offers.map((offer): DeviceModelView => {
      const now = said?.models.find((model) => model.id === offer.id);
      return {
        id: offer.id,
        ctx: offer.ctx ?? null,
        caps: offer.caps,
        quant: offer.quant ?? null,
        resident: now?.resident ?? offer.resident,
        slots: now?.slots ?? offer.slots,
        active: now?.active ?? 0,
        queued: now?.queued ?? 0,
      };
    }),
    battery: said?.battery ?? null,
    thermal: said?.thermal ?? null,
    rtt_ms: backend.rttMs === undefined ? null : Math.round(backend.rttMs * 10) / 10,
    session: backend.session === undefined ? null : { id: backend.session.id, resumes: backend.session.resumes },
    clipped: Object.fromEntries(device.clipped),
  };
}

function stateOf(device: PairedDevice): Pick<DeviceView, 'state' | 'code' | 'why'> {
  if (device.isInConflict) return { state: 'conflict', code: 'duplicate_identity', why: conflictDetail };
  if (device.link === undefined) return { state: 'offline', code: null, why: device.backend.status().detail ?? null };
  const said = device.backend.state;
  const code = said?.code ?? null;
  const why = said?.why ?? null;
  if (device.isDraining) return { state: 'draining', code, why };
  if (said === undefined || said.code === 'loading') return { state: 'loading', code, why };
  return { state: said.accepting ? 'ready' : 'paused', code, why };
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** What the metrics show of a device. */
export function figuresOf({ record, link, backend, ends, resumes, clipped }: PairedDevice): DeviceFigures {
  const { battery, thermal, models = [] } = backend.state ?? {};
  return {
    name: record.name,
    isUp: link !== undefined,
    queued: models.reduce((sum, { queued }) => sum + queued, 0),
    ...(battery === undefined ? {} : { battery: battery.pct / 100 }),
    ...(thermal === undefined ? {} : { thermal: thermal.status }),
    ends,
    resumes,
    clipped,
    ...(backend.rttMs === undefined ? {} : { rttMs: backend.rttMs }),
  };
}
