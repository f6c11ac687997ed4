import { serveState } from '../src/screens/serve-state';
import { RouterProcess, spoken, until } from '../test-support/router-process';
import { startPhone, type TestPhone } from '../test-support/test-phone';
import { llama, tiny } from '../test-support/tiny-llama';

const wordOf = ({ host }: TestPhone): string => serveState(host.view, { kind: 'ready', path: '' }).word;
const wordsOf = (text: string): string[] => text.match(/word\d+/g) ?? [];
const inits = (): number => llama.callsOf('llamaInitContext').length;

describe('the model of a phone, on its way in and out of memory', () => {
  const router = new RouterProcess();
  let phone: TestPhone;

  beforeAll(async () => {
    await router.start();
    phone = await startPhone(tiny);
    await phone.host.choose({ model: 'tiny' });
    expect(await phone.host.pair((await router.invite()).uri)).toBe('paired');
    await router.device('ready');
  });
  afterAll(async () => {
    await phone.host.close();
    await router.remove();
  });
  beforeEach(async () => {
    await router.device('ready');
    llama.tokenMs = 5;
  });

  const is = (word: string): Promise<void> =>
    until(
      () => wordOf(phone) === word,
      () => `${word}, but ${wordOf(phone)}`,
    );
  const begun = async (): Promise<ReturnType<typeof router.stream>> => {
    const answer = router.stream('Tell a story.', { max_tokens: 200 });
    await until(
      () => wordsOf(answer.text()).length > 5,
      () => 'some words',
    );
    return answer;
  };

  test('chosen otherwise in mid-answer: the answer ends whole, then the model is loaded as chosen', async () => {
    const before = inits();
    const answer = await begun();
    await phone.host.choose({ contextTokens: 2048 });
    expect(wordsOf(spoken(await answer.ended))).toHaveLength(200);
    await until(
      () => inits() > before,
      () => 'model loaded anew',
    );
    await is('Serving');
    expect(llama.callsOf('llamaInitContext').at(-1)?.args[1]).toMatchObject({ n_ctx: 2048 });
    await router.device('ready');
    expect((await router.chat('Count.')).status).toBe(200);
  });

  test('memory is short for a moment in mid-answer: it serves on, and says so', async () => {
    const answer = await begun();
    phone.machine.become({ mem_free_mb: 200 });
    await is('Paused');
    phone.machine.become({ mem_free_mb: 2000 });
    await is('Serving');
    expect(wordsOf(spoken(await answer.ended))).toHaveLength(200);
    await router.device('ready');
    await is('Serving');
  });

  test('memory is short while the model is read: it comes back, whatever the engine still tells of the first time', async () => {
    await phone.host.stop();
    let goOn = (): void => {};
    llama.opening = new Promise((resolve) => (goOn = resolve));
    await phone.host.start();
    await until(
      () => phone.host.view.model.load.kind === 'loading',
      () => 'loading',
    );
    phone.machine.become({ mem_free_mb: 200 });
    await is('Paused');
    llama.opening = undefined;
    goOn();
    await new Promise((resolve) => setTimeout(resolve, 50));
    phone.machine.become({ mem_free_mb: 2000 });
    await is('Serving');
  });

  test('nothing is loaded into memory that is short', async () => {
    phone.machine.become({ mem_free_mb: 200 });
    await is('Paused');
    const before = inits();
    await phone.host.choose({ contextTokens: 4096 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(inits()).toBe(before);
    phone.machine.become({ mem_free_mb: 2000 });
    await is('Serving');
  });

  test('started again before it had stopped: it serves', async () => {
    const stopping = phone.host.stop();
    await phone.host.start();
    await stopping;
    await router.device('ready');
    await is('Serving');
    expect(phone.service.notice).toBe('Serving Tiny');
  });

  test('unloaded by its router: it says so, and is loaded when its owner starts it', async () => {
    const { id } = await router.device('ready');
    expect((await router.send('POST', `/admin/devices/${id}/unload`)).status).toBe(204);
    await is('Not serving');
    expect(serveState(phone.host.view, { kind: 'ready', path: '' })).toMatchObject({
      sentence: 'A router has taken Tiny out of memory.',
      next: 'start',
    });
    expect(phone.service.notice).toBe('Tiny is not in memory');
    await phone.host.start();
    await is('Serving');
  });
});
