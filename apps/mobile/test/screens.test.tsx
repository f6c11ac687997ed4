import { act, fireEvent, render, screen } from '@testing-library/react-native';
import { DeviceEventEmitter } from 'react-native';
import { App } from '../src/app';
import { demoOf, scenes } from '../src/demo/scenes';
import type { FoundRouter, Phone } from '../src/screens/phone';
import type { Tab } from '../src/screens/tabs';
import { fakeCamera } from '../test-support/native-parts';

/** What was asked of a phone that is made up. */
class Asked {
  readonly list: string[] = [];

  phone(scene: string, pairs = 'paired'): Phone {
    const phone = demoOf(scene);
    const note =
      (name: string) =>
      async (...args: readonly unknown[]): Promise<void> =>
        void this.list.push(`${name} ${args.map((arg) => JSON.stringify(arg)).join(' ')}`.trim());
    return {
      ...phone,
      host: {
        ...phone.host,
        start: note('start'),
        stop: note('stop'),
        unpair: note('unpair'),
        choose: note('choose'),
        showPairing: note('showPairing'),
        endPairing: () => void note('endPairing')(),
        setPaused: (isPaused) => void note('setPaused')(isPaused),
        lookAgain: () => void note('lookAgain')(),
        pair: async (text, address) => {
          await note('pair')(text, address);
          return pairs;
        },
      },
      shelf: {
        ...phone.shelf,
        fetch: note('fetch'),
        pause: note('pause'),
        remove: (id) => void note('remove')(id),
      },
    };
  }
}

async function open(phone: Phone, tab: Tab = 'serve'): Promise<void> {
  const openPhone = async (): Promise<Phone> => phone;
  render(<App openPhone={openPhone} firstTab={tab} />);
  await screen.findAllByRole('heading');
}

async function press(label: string): Promise<void> {
  await act(async () => fireEvent.press(screen.getByLabelText(label)));
}

const button = (name: string): unknown => screen.queryByRole('button', { name });

describe('Serve', () => {
  /** Scene, word, next step, and what it does: a call, or the screen it opens. */
  const states: readonly (readonly [scene: string, word: string, next: string, effect: string])[] = [
    ['fresh', 'Not serving', 'Go to Models', 'Models'],
    ['off', 'Not serving', 'Start serving', 'start'],
    ['no-model', 'Not serving', 'Go to Models', 'Models'],
    ['downloading', 'Downloading 42\u00a0%', 'Go to Models', 'Models'],
    ['checking', 'Checking', 'Go to Models', 'Models'],
    ['download-paused', 'Not serving', 'Go to Models', 'Models'],
    ['download-waits', 'Not serving', 'Go to Models', 'Models'],
    ['download-failed', 'Not serving', 'Go to Models', 'Models'],
    ['loading', 'Loading', 'Stop serving', 'stop'],
    ['load-failed', 'Not serving', 'Go to Models', 'Models'],
    ['unpaired', 'Waiting for a router', 'Pair with a router', 'Pair'],
    ['connecting', 'Waiting for a router', 'Try again now', 'lookAgain'],
    ['unreachable', 'Waiting for a router', 'Try again now', 'lookAgain'],
    ['restarting', 'Waiting for a router', 'Try again now', 'lookAgain'],
    ['unknown', 'Waiting for a router', 'Pair with a router', 'Pair'],
    ['conflict', 'Waiting for a router', 'Try again now', 'lookAgain'],
    ['version', 'Waiting for a router', 'Try again now', 'lookAgain'],
    ['removed', 'Waiting for a router', 'Pair with a router', 'Pair'],
    ['serving', 'Serving', 'Stop serving', 'stop'],
    ['hot', 'Paused', 'Limits in Settings', 'Settings'],
    ['battery', 'Paused', 'Limits in Settings', 'Settings'],
    ['saver', 'Paused', 'Limits in Settings', 'Settings'],
    ['memory', 'Paused', 'Limits in Settings', 'Settings'],
    ['no-network', 'Paused', 'Limits in Settings', 'Settings'],
    ['cellular', 'Paused', 'Limits in Settings', 'Settings'],
    ['paused', 'Paused', 'Go on serving', 'setPaused false'],
    ['dialled', 'Waiting for a router', 'Stop serving', 'stop'],
    ['dial-expected', 'Waiting for a router', 'Stop serving', 'stop'],
    ['dial-forbidden', 'Waiting for a router', 'Limits in Settings', 'Settings'],
  ];

  test('each state of the app is here', () => {
    expect(states.map(([scene]) => scene)).toEqual(Object.keys(scenes));
  });

  test.each(states)(
    '%s: a word, a sentence and a next step that does what it says',
    async (scene, word, next, effect) => {
      const asked = new Asked();
      await open(asked.phone(scene));
      expect(screen.getByRole('heading', { name: word })).toBeTruthy();
      await press(next);
      if (/^[A-Z]/.test(effect)) expect(screen.getByRole('heading', { name: effect })).toBeTruthy();
      else expect(asked.list).toEqual([effect]);
    },
  );

  test('sizes and times of the last requests, never their text; the figures of now', async () => {
    await open(new Asked().phone('serving'));
    expect(screen.getByLabelText('Speed: 61.2 tokens/s')).toBeTruthy();
    expect(screen.getByLabelText('Requests: 1 running, 0 waiting')).toBeTruthy();
    expect(screen.getByLabelText('Battery: 82 %, charging')).toBeTruthy();
    expect(screen.getByLabelText('Heat: warm')).toBeTruthy();
    expect(screen.getAllByLabelText(/^\d\d:\d\d:\d\d: \d+\.\d s, \d+ → \d+(, stopped)?$/)).toHaveLength(4);
  });

  test('pauses without giving its links up', async () => {
    const asked = new Asked();
    await open(asked.phone('serving'));
    await press('Pause');
    expect(asked.list).toEqual(['setPaused true']);
  });

  test('an app that cannot start says why', async () => {
    const broken = async (): Promise<Phone> => {
      throw new Error('The key of this phone cannot be read.');
    };
    render(<App openPhone={broken} />);
    expect(await screen.findByText('The key of this phone cannot be read.')).toBeTruthy();
  });
});

describe('Pair', () => {
  const type = (label: string, text: string): void => fireEvent.changeText(screen.getByLabelText(label), text);

  test('a typed code and address go to the host; the outcome is read aloud; the code is gone', async () => {
    const asked = new Asked();
    await open(asked.phone('unpaired'), 'pair');
    expect(screen.getByRole('button', { name: 'Pair', disabled: true })).toBeTruthy();
    type('Code or link', 'M2GT-58X4');
    type('Address of the router', '192.168.1.10');
    await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Pair' })));
    expect(asked.list).toEqual(['pair "M2GT-58X4" "192.168.1.10"']);
    expect(screen.getByText('Paired. This phone serves that router from now on.')).toBeTruthy();
    expect(screen.getByLabelText('Code or link').props['value']).toBe('');
  });

  test('a code is used once, however often Pair is pressed', async () => {
    const asked = new Asked();
    const phone = asked.phone('unpaired');
    let settle: ((outcome: string) => void) | undefined;
    const pair = async (code: string): Promise<string> => {
      asked.list.push(code);
      return await new Promise((resolve) => (settle = resolve));
    };
    await open({ ...phone, host: { ...phone.host, pair } }, 'pair');
    type('Code or link', 'M2GT-58X4');
    for (let presses = 0; presses < 3; presses += 1)
      await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Pair' })));
    expect(asked.list).toEqual(['M2GT-58X4']);
    await act(async () => settle?.('pairing_refused'));
    await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Pair' })));
    expect(asked.list).toHaveLength(2);
  });

  test.each([
    ['no_code', 'neither a link nor a code'],
    ['no_address', 'Type its address'],
    ['bad_address', 'looks like 192.168.1.10'],
    ['shown_by_device', 'shown by a device'],
    ['unreachable', 'Nobody answers'],
    ['pairing_refused', 'wrong, used or expired'],
    ['wrong_key', 'not the one that showed the link'],
    ['busy', '(busy)'],
  ])('%s is told in a sentence, and the code stays', async (code, words) => {
    await open(new Asked().phone('unpaired', code), 'pair');
    type('Code or link', 'X');
    await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Pair' })));
    expect(screen.getByText(words, { exact: false })).toBeTruthy();
    expect(screen.getByLabelText('Code or link').props['value']).toBe('X');
  });

  test('a router that was heard gives its address', async () => {
    await open(new Asked().phone('fresh'), 'pair');
    expect(screen.getByText('Office laptop, 192.168.1.10:4870, ready to pair')).toBeTruthy();
    await press('Use Office laptop');
    expect(screen.getByLabelText('Address of the router').props['value']).toBe('192.168.1.10:4870');
  });

  test('listening for routers ends with the screen', async () => {
    const phone = new Asked().phone('fresh');
    let ended = 0;
    const discover = (onFound: (routers: readonly FoundRouter[]) => void): (() => void) => {
      onFound([]);
      return () => void (ended += 1);
    };
    await open({ ...phone, discover }, 'pair');
    expect(ended).toBe(0);
    await press('Serve');
    expect(ended).toBe(1);
  });

  test('the camera is asked for at the first scan; what it sees is paired with once', async () => {
    const asked = new Asked();
    await open(asked.phone('unpaired'), 'pair');
    expect(fakeCamera().asked).toBe(0);
    await press('Scan the code');
    expect(fakeCamera().asked).toBe(1);
    await act(async () => fakeCamera().see('https://example.org'));
    await act(async () => {
      fakeCamera().see('lfo://pair?v=1&r=router');
      fakeCamera().see('lfo://pair?v=1&r=router');
    });
    expect(asked.list).toEqual(['pair "lfo://pair?v=1&r=router" ""']);
    expect(screen.queryByLabelText('Stop scanning')).toBeNull();
  });

  test('without the camera the code can be typed', async () => {
    fakeCamera().isAllowed = false;
    await open(new Asked().phone('unpaired'), 'pair');
    await press('Scan the code');
    expect(screen.getByText('The camera is not allowed.', { exact: false })).toBeTruthy();
    fakeCamera().isAllowed = true;
  });

  test('a link that another app opened waits to be paired with', async () => {
    const opened = (url: string): void => DeviceEventEmitter.emit('url', { url });
    const asked = new Asked();
    await open(asked.phone('unpaired'));
    await act(async () => opened('https://example.org/pair'));
    expect(screen.getByRole('heading', { name: 'Serve' })).toBeTruthy();
    await act(async () => opened('lfo://pair?v=1&r=router&h=10.0.0.2'));
    expect(screen.getByLabelText('Code or link').props['value']).toBe('lfo://pair?v=1&r=router&h=10.0.0.2');
    // Not paired with by itself: any app may open a link.
    expect(asked.list).toEqual([]);
    // Another one while the screen is open takes its place.
    await act(async () => opened('lfo://pair?v=1&r=router&h=10.0.0.3'));
    expect(screen.getByLabelText('Code or link').props['value']).toBe('lfo://pair?v=1&r=router&h=10.0.0.3');
  });

  test('shows its fingerprint, the routers it has, and how a router dials it', async () => {
    const asked = new Asked();
    await open(asked.phone('unreachable'), 'pair');
    expect(screen.getByText('M0M9-G403-5TT1-E9TE')).toBeTruthy();
    expect(screen.getByLabelText('Office laptop: Away')).toBeTruthy();
    await press('Let a router dial this phone');
    expect(asked.list).toEqual(['showPairing "192.168.1.23"']);
  });

  test('the command for the router is shown while a pairing is open', async () => {
    const asked = new Asked();
    await open(asked.phone('dialled'), 'pair');
    expect(
      screen.getByText('lfo devices pair --dial 192.168.1.23:5555 --code M2GT-58X4-MPKA-FA59-NANT-SBDE-NW'),
    ).toBeTruthy();
    await press('Do not pair');
    expect(asked.list).toEqual(['endPairing']);
  });
});

describe('Models', () => {
  const gemma = 'functiongemma-270m-it';

  test('a model that is not here is chosen and fetched', async () => {
    const asked = new Asked();
    await open(asked.phone('fresh'), 'models');
    await press('Fetch FunctionGemma 270M');
    expect(asked.list).toEqual([`choose {"model":"${gemma}"}`, `fetch "${gemma}" false`]);
  });

  test('one on its way shows how far it is, and pauses', async () => {
    const asked = new Asked();
    await open(asked.phone('downloading'), 'models');
    expect(screen.getByText('122 of 290 MB')).toBeTruthy();
    expect(screen.getByRole('progressbar').props['aria-valuenow']).toBe(42);
    await press('Pause fetching FunctionGemma 270M');
    expect(asked.list).toEqual([`pause "${gemma}"`]);
  });

  test('a paused one goes on, or goes', async () => {
    const asked = new Asked();
    await open(asked.phone('download-paused'), 'models');
    await press('Go on fetching FunctionGemma 270M');
    expect(asked.list.at(-1)).toBe(`fetch "${gemma}" false`);
  });

  test('a failed one says why and can be tried again', async () => {
    await open(new Asked().phone('download-failed'), 'models');
    expect(screen.getByText('The download broke off.', { exact: false })).toBeTruthy();
    expect(button('Fetch FunctionGemma 270M')).not.toBeNull();
  });

  test('the one that serves cannot be removed, another can be chosen', async () => {
    await open(new Asked().phone('serving'), 'models');
    expect(screen.getByText('This phone serves this model.')).toBeTruthy();
    expect(button('Remove FunctionGemma 270M')).toBeNull();
    expect(button('Fetch Qwen2.5 Coder 0.5B')).not.toBeNull();
  });

  test('the room that is left is shown', async () => {
    await open(new Asked().phone('fresh'), 'models');
    expect(screen.getByLabelText('Free on this phone: 12.3 GB')).toBeTruthy();
  });
});

describe('Settings', () => {
  test.each([
    ['Rest when the battery is below: 30 %', 'choose {"minBattery":30}'],
    ['Rest when the battery is below: Never', 'choose {"minBattery":0}'],
    ['Rest when the phone’s heat is: Moderate', 'choose {"maxThermal":2}'],
    ['Answers at once: 2', 'choose {"slots":2}'],
    ['Context, in tokens: 8,192', 'choose {"contextTokens":8192}'],
    ['Unpair Office laptop', 'unpair "rtr-xvergfd0n52hb4yw"'],
  ])('%s', async (label, effect) => {
    const asked = new Asked();
    await open(asked.phone('serving'), 'settings');
    await press(label);
    expect(asked.list).toEqual([effect]);
  });

  test.each([
    [/^Rest in battery saver/, 'choose {"restsInSaver":false}'],
    [/^Serve on mobile data/, 'choose {"servesOnCellular":true}'],
    [/^Fetch models on mobile data/, 'choose {"downloadsOnCellular":true}'],
    [/^Start when the phone starts/, 'choose {"startsOnBoot":true}'],
    [/^Routers may dial this phone/, 'choose {"listens":true}'],
  ])('%s', async (label, effect) => {
    const asked = new Asked();
    await open(asked.phone('serving'), 'settings');
    const toggle = screen.getByLabelText(label);
    await act(async () => fireEvent(toggle, 'valueChange', effect.endsWith('true}')));
    expect(asked.list).toEqual([effect]);
  });

  test('work with the screen off is asked for where Android does not allow it', async () => {
    let asked = 0;
    const phone = new Asked().phone('serving');
    await open({ ...phone, background: { isAllowed: () => false, ask: () => void (asked += 1) } }, 'settings');
    await press('Let it work with the screen off');
    expect(asked).toBe(1);
    screen.unmount();
    await open(phone, 'settings');
    expect(screen.getByLabelText('With the screen off: works on')).toBeTruthy();
  });

  test('a name is kept once it is whole, and an empty one is none', async () => {
    const asked = new Asked();
    await open(asked.phone('serving'), 'settings');
    const field = screen.getByLabelText('Name, as routers show it at first');
    fireEvent.changeText(field, '');
    expect(screen.getByLabelText('Name, as routers show it at first').props['value']).toBe('');
    await act(async () => fireEvent(field, 'endEditing'));
    expect(asked.list).toEqual([]);
    fireEvent.changeText(field, 'Kitchen phone');
    await act(async () => fireEvent(field, 'endEditing'));
    expect(asked.list).toEqual(['choose {"name":"Kitchen phone"}']);
    await press('Serve');
    expect(asked.list).toHaveLength(1);
  });

  test('a name is kept too where another screen is opened from the keyboard', async () => {
    const asked = new Asked();
    await open(asked.phone('serving'), 'settings');
    fireEvent.changeText(screen.getByLabelText('Name, as routers show it at first'), 'Kitchen phone');
    await press('Serve');
    expect(asked.list).toEqual(['choose {"name":"Kitchen phone"}']);
  });

  test('licences are there, those that limit use by what they say', async () => {
    await open(new Asked().phone('serving'), 'settings');
    expect(screen.getByText('Cactus: its own terms', { exact: false })).toBeTruthy();
  });
});

describe('for TalkBack', () => {
  interface Rendered {
    readonly type: unknown;
    readonly props: Readonly<Record<string, unknown>>;
    readonly children: readonly (Rendered | string)[];
  }
  const textIn = (node: Rendered | string): string =>
    typeof node === 'string' ? node : node.children.map(textIn).join('');
  const labelOf = ({ props }: Rendered): string => {
    const label: unknown = props['accessibilityLabel'] ?? props['aria-label'];
    return typeof label === 'string' ? label : '';
  };

  test.each(['serve', 'pair', 'models', 'settings'] as const)(
    '%s: all that can be pressed has words and is large',
    async (tab) => {
      await open(new Asked().phone('serving'), tab);
      const pressable: readonly Rendered[] = screen.root.findAll(
        ({ type, props }: Rendered) =>
          type === 'RCTSwitch' || type === 'TextInput' || (type === 'View' && typeof props['onClick'] === 'function'),
      );
      expect(pressable.length).toBeGreaterThan(4);
      for (const node of pressable) expect(labelOf(node) + textIn(node)).not.toBe('');
    },
  );
});
