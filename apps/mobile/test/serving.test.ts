import { cactusEngine } from '../src/engines/cactus-engine';
import type { ReadyModel } from '../src/host/phone-host';
import { RouterProcess } from '../test-support/router-process';
import { memorySecrets, startPhone, type TestPhone } from '../test-support/test-phone';
import { engineParts, tiny } from '../test-support/tiny-llama';

const gemma: ReadyModel = {
  engine: cactusEngine(engineParts),
  file: { id: 'functiongemma-270m-it', path: '/models/functiongemma-270m-it-int8', quant: 'int8' },
  title: 'FunctionGemma 270M',
};
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};

describe('a phone and a real router', () => {
  const router = new RouterProcess();
  const phones: TestPhone[] = [];
  const phoneWith = async (model: ReadyModel, secrets = memorySecrets()): Promise<TestPhone> => {
    const phone = await startPhone(model, secrets);
    phones.push(phone);
    await phone.host.choose({ model: model.file.id });
    return phone;
  };

  beforeEach(() => router.start());
  afterEach(async () => {
    await Promise.all(phones.splice(0).map(({ host }) => host.close()));
    for (const { id } of await router.devices()) await router.send('DELETE', `/admin/devices/${id}`);
    await router.stop();
  });
  afterAll(() => router.remove());

  test('pairs by the link that the router shows, serves by llama.rn, and tells its owner', async () => {
    const phone = await phoneWith(tiny);
    const { uri } = await router.invite();
    expect(await phone.host.pair(uri)).toBe('paired');
    const { name } = await router.device('ready');
    expect(name).toBe('test-phone');
    const answer = await router.chat('Count to ten.');
    expect(answer.status).toBe(200);
    expect(answer.json.choices[0].message.content).toBe('one two three four five six seven eight nine ten');
    expect(answer.json.lfo_metadata.device.name).toBe('test-phone');
    expect(answer.headers['x-lfo-egress']).toBe('none');
    const { routers, notes, answered, model } = phone.host.view;
    expect(routers).toMatchObject([{ state: { kind: 'connected' }, deviceName: 'test-phone' }]);
    expect(model.load).toEqual({ kind: 'ready' });
    expect(answered).toBe(1);
    expect(notes).toMatchObject([{ answerTokens: 10, outcome: 'answered' }]);
    expect(phone.service.notice).toBe('Serving Tiny');
    expect(phone.host.view.fingerprint).toBe((await router.devices())[0]?.fingerprint);
  });

  test('FunctionGemma by Cactus answers a tool call; chat never lands on it', async () => {
    const phone = await phoneWith(gemma);
    const { code } = await router.invite();
    expect(await phone.host.pair(code.toLowerCase(), `127.0.0.1:${router.fleetPort}`)).toBe('paired');
    await router.device('ready');
    const called = await router.chat('get_weather in Oslo', { tools: [weather] });
    expect(called.status).toBe(200);
    expect(called.json.choices[0].message.tool_calls).toMatchObject([{ function: { name: 'get_weather' } }]);
    expect(called.json.choices[0].finish_reason).toBe('tool_calls');
    for (const more of [{}, { tools: [weather], tool_choice: 'none' }, { model: 'functiongemma-270m-it@test-phone' }]) {
      const refused = await router.chat('Tell me a story.', more);
      expect(refused.status).toBe(400);
      expect(refused.json.error.message).toMatch(/only requests that offer tools|answers without tools/);
    }
    expect(phone.host.view.notes).toHaveLength(1);
  });

  test('a wrong code, a link of a device, no address and no router are each told apart', async () => {
    const phone = await phoneWith(tiny);
    await router.invite();
    const at = `127.0.0.1:${router.fleetPort}`;
    expect(await phone.host.pair('M2GT-58X4-MPKA-FA59-NANT-SBDE-NW', at)).toBe('pairing_refused');
    expect(await phone.host.pair('M2GT-58X4-MPKA-FA59-NANT-SBDE-NW')).toBe('no_address');
    expect(await phone.host.pair('12')).toBe('no_code');
    expect(await phone.host.pair('M2GT-58X4-MPKA-FA59-NANT-SBDE-NW', '127.0.0.1:1')).toBe('unreachable');
    expect(phone.host.view.routers).toEqual([]);
    expect(phone.host.view.settings.isOn).toBe(false);
  });

  test('comes back by itself after its process was killed', async () => {
    const secrets = memorySecrets();
    const phone = await phoneWith(tiny, secrets);
    await phone.host.pair((await router.invite()).uri);
    await router.device('ready');
    phones.splice(phones.indexOf(phone), 1);
    await phone.host.close();
    const again = await startPhone(tiny, secrets);
    phones.push(again);
    await router.device('ready');
    expect((await router.chat('Count.')).status).toBe(200);
  });
});
