import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { wake } from '../config/backend-schema.ts';
import { readPairingCode, readPairingUri } from '@lfo/protocol';
import { renderSVG } from 'uqr';
import { z } from 'zod';
import { camelKeys } from '../config/camel-keys.ts';
import { LfoError, RequestError } from '../core/errors.ts';
import type { Devices } from '../fleet/devices.ts';
import type { DialTarget } from '../fleet/invitations.ts';
import type { Pairing } from '../core/devices.ts';
import type { AdminDeps } from './deps.ts';

const defaultLifetimeMs = 300_000;
const port = z.int().min(1).max(65_535);
const host = z.string().regex(/^[A-Za-z0-9._:%-]{1,255}$/);
const pairingBody = z.union([
  z.strictObject({ uri: z.string() }),
  z.strictObject({ host, port, code: z.string() }),
  z.strictObject({ expires_in_ms: z.int().min(1_000).max(600_000).optional() }),
]);
const changeBody = z.strictObject({
  name: z.string().exactOptional(),
  dial: z.strictObject({ host, port }).nullable().exactOptional(),
  // What is left out stays; the hardware address may be the device's own word.
  wake: z
    .strictObject({
      mac: wake.shape.mac.exactOptional(),
      broadcast: wake.shape.broadcast.unwrap().exactOptional(),
      timeout_ms: wake.shape.timeout_ms.unwrap().exactOptional(),
    })
    .transform(camelKeys)
    .nullable()
    .exactOptional(),
});

interface Named {
  Params: { id: string };
}

/** Paired devices, pairing and revoking, for those with the admin scope. */
export function addDevices(app: FastifyInstance, { devices, readBody }: AdminDeps): void {
  app.get('/admin/devices', () => ({ devices: devices.list(), port: devices.port ?? null }));
  app.get<Named>('/admin/devices/:id', ({ params: { id } }) => devices.view(id));
  app.patch<Named>('/admin/devices/:id', (request) =>
    devices.change(request.params.id, read(changeBody, readBody(request))),
  );
  app.delete<Named>('/admin/devices/:id', ({ params: { id } }, reply) => {
    devices.remove(id);
    return reply.status(204).send();
  });
  for (const action of ['drain', 'resume'] as const) {
    app.post<Named>(`/admin/devices/:id/${action}`, ({ params: { id } }, reply) => {
      devices.setDraining(id, action === 'drain');
      return reply.status(204).send();
    });
  }

  for (const action of ['load', 'unload'] as const) {
    app.post<Named>(`/admin/devices/:id/${action}`, async ({ params: { id } }, reply) => {
      await devices.setLoaded(id, action === 'load');
      return reply.status(204).send();
    });
  }

  app.post('/admin/devices/pairings', (request, reply) =>
    begin(devices, read(pairingBody, bodyOf(request, readBody)), reply),
  );
  app.get<Named>('/admin/devices/pairings/:id', async ({ params: { id } }) =>
    pairingBodyOf(devices, await pairingOf(devices, id)),
  );
  app.delete<Named>('/admin/devices/pairings/:id', async ({ params: { id } }, reply) => {
    const { state } = await pairingOf(devices, id);
    if (state === 'open' && devices.invitations.pairings.find(id) === undefined) throw begunElsewhere();
    devices.invitations.pairings.cancel(id);
    return reply.status(204).send();
  });
}

async function begin(devices: Devices, wanted: z.infer<typeof pairingBody>, reply: FastifyReply): Promise<object> {
  void reply.status(201);
  const target = targetOf(wanted);
  if (target !== undefined) {
    const { id, state } = devices.invitations.inviteByDial(target);
    return { id, state };
  }
  const lifetimeMs = 'expires_in_ms' in wanted ? wanted.expires_in_ms : undefined;
  const { pairing, uri, code } = await devices.invitations.invite(lifetimeMs ?? defaultLifetimeMs);
  return { id: pairing.id, uri, code, expires: new Date(pairing.expiresMs).toISOString(), qr: renderSVG(uri) };
}

function targetOf(wanted: z.infer<typeof pairingBody>): DialTarget | undefined {
  if ('uri' in wanted) {
    const uri = readPairingUri(wanted.uri);
    if (uri?.role !== 'device') {
      throw new RequestError('This is no pairing link of a device: it begins with lfo://pair?v=1&r=device.', {
        param: 'uri',
      });
    }
    const { hosts, port: at, key, secret } = uri;
    return { addresses: hosts.map((each) => ({ host: each, port: at })), key, secret };
  }
  if (!('code' in wanted)) return undefined;
  const secret = readPairingCode(wanted.code);
  if (secret === undefined) {
    throw new RequestError('This is no pairing code: it has 26 letters and digits, as the device shows it.', {
      param: 'code',
    });
  }
  return { addresses: [{ host: wanted.host, port: wanted.port }], secret };
}

function begunElsewhere(): LfoError {
  return new LfoError('This pairing was begun at another router, which alone has its secret: cancel it there.', {
    code: 'pairing_elsewhere',
    status: 409,
  });
}

async function pairingOf(devices: Devices, id: string): Promise<Pairing> {
  const pairing = await devices.invitations.find(id);
  if (pairing !== undefined) return pairing;
  throw new LfoError('No pairing has this id: it ended long ago, or the router was started anew.', {
    code: 'unknown_pairing',
    status: 404,
  });
}

function pairingBodyOf(devices: Devices, { id, state, wrong, device, why }: Pairing): object {
  const view = device === undefined ? undefined : devices.list().find((each) => each.id === device);
  return {
    id,
    state,
    wrong,
    ...(view === undefined ? {} : { device: view }),
    ...(why === undefined ? {} : { why }),
  };
}

/** A body may be left out: all its fields may. */
function bodyOf(request: FastifyRequest, readBody: AdminDeps['readBody']): unknown {
  return request.headers['content-length'] === '0' || request.headers['content-type'] === undefined
    ? {}
    : readBody(request);
}

function read<T>(schema: z.ZodType<T>, body: unknown): T {
  const { data, error } = schema.safeParse(body);
  if (data !== undefined) return data;
  const issue = error?.issues[0];
  const param = issue?.path.join('.') ?? '';
  throw new RequestError(
    `${param === '' ? 'The body' : param} is not as it should be: ${issue?.message ?? 'see docs/devices.md'}.`,
    {
      ...(param !== '' && { param }),
    },
  );
}
