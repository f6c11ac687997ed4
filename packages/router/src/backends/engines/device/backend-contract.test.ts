import { describeBackend, type Behaviour } from '@lfo/testing/backend-contract.ts';
import { settle } from '@lfo/testing/fake-clock.ts';
import { ScriptedDevice } from '@lfo/testing/scripted-device.ts';
import { systemClock } from '../../../core/clock.ts';
import { DeviceBackend } from './device-backend.ts';

const skips: Partial<Record<Behaviour, string>> = {
  'wrong-content-type': 'a device has one format',
  'status-401': 'a device is paired once, not asked for a key with each request',
  'status-429': 'a device has no rate limit; it is busy',
};

/** What the device does once a request has come. */
function play(device: ScriptedDevice, id: number, behaviour: Behaviour): void {
  const say = (text: string): void => device.delta(id, { k: 'text', text });
  switch (behaviour) {
    case 'text':
      say('Hello');
      return device.done(id);
    case 'length':
      say('Hello');
      return device.done(id, { finish_reason: 'length' });
    case 'tool-call':
      device.delta(id, { k: 'call', index: 0, id: 'call_0', name: 'add' }, { k: 'args', index: 0, json: '{}' });
      device.delta(id, { k: 'call_end', index: 0 });
      return device.done(id, { finish_reason: 'tool_calls' });
    case 'unknown-fields': {
      const delta = {
        t: 'delta',
        id,
        n: device.takeNumber(id),
        colour: 'blue',
        parts: [{ k: 'text', text: 'Hello', size: 3 }],
      };
      writeRaw(device, JSON.stringify(delta));
      const usage = { prompt_tokens: 3, completion_tokens: 1, love: 9 };
      return writeRaw(
        device,
        JSON.stringify({ t: 'done', id, n: device.takeNumber(id), finish_reason: 'stop', usage, mood: 'good' }),
      );
    }
    case 'hang-mid-stream':
      return say('Hello');
    case 'reset-mid-stream':
      say('Hello');
      return queueMicrotask(() => device.carrier.cut());
    case 'no-finish':
      say('Hello');
      return device.link.close('closing');
    case 'truncated-json':
      say('Hello');
      return writeRaw(device, '{"t":"del');
    case 'status-500':
      return device.send({ t: 'error', id, code: 'engine', message: 'It broke.', retryable: true });
    default:
      return;
  }
}

function writeRaw(device: ScriptedDevice, json: string): void {
  const frame = Buffer.from(`\0\0\0\0${json}`);
  frame.writeUInt32BE(frame.length - 4);
  device.carrier.write(frame);
}

describeBackend('device', async (behaviour, t) => {
  const skip = skips[behaviour];
  if (skip !== undefined) return { skip };
  const device = new ScriptedDevice(systemClock);
  const capabilities = { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true };
  const backend = new DeviceBackend({ id: 'device', clock: systemClock, expected: { models: ['tiny'], capabilities } });
  t.after(() => backend.close());
  const abandoned = Promise.withResolvers<void>();
  if (behaviour !== 'refused') {
    backend.attach(device.channel);
    await device.start();
    device.onMessage = (message) => {
      if (message.t === 'complete') play(device, message.id, behaviour);
      if (message.t === 'cancel') abandoned.resolve();
    };
    await settle();
  }
  return { backend, model: 'tiny', abandoned: () => abandoned.promise };
});
