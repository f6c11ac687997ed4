import type { PhoneView } from '../host/phone-host';
import type { LinkState, RouterView } from '../host/router-links';
import type { ModelState } from '../models/model-shelf';

export type Picture =
  | 'off'
  | 'fetching'
  | 'loading'
  | 'waiting'
  | 'serving'
  | 'hot'
  | 'battery'
  | 'memory'
  | 'network'
  | 'paused'
  | 'attention';

export type NextStep = 'start' | 'stop' | 'models' | 'pair' | 'resume' | 'retry' | 'settings';

/** What an owner sees first: one word, one sentence, and what to do next. */
export interface ServeState {
  readonly picture: Picture;
  readonly word: string;
  readonly sentence: string;
  readonly next: NextStep;
  /** 0..1 where something is on its way. */
  readonly fraction?: number;
  /** Whether it needs its owner. */
  readonly isProblem?: boolean;
}

const notServing = { picture: 'attention', word: 'Not serving', next: 'models' } as const;

export function serveState(view: PhoneView, model: ModelState): ServeState {
  const { settings, gate } = view;
  if (!settings.isOn) return offState(view);
  const fetched = fetchState(view, model);
  if (fetched !== undefined) return fetched;
  if (gate !== undefined) return pausedState(view);
  const { load, title } = view.model;
  if (load.kind === 'failed') return { ...notServing, sentence: load.message, isProblem: true };
  if (load.kind === 'none')
    return { ...notServing, sentence: `A router has taken ${title} out of memory.`, next: 'start' };
  if (load.kind !== 'ready')
    return {
      picture: 'loading',
      word: 'Loading',
      sentence: `${title} is being read into memory.`,
      next: 'stop',
      fraction: load.kind === 'loading' ? load.fraction : 0,
    };
  return linkedState(view);
}

function offState({ settings, model, removedBy }: PhoneView): ServeState {
  const off = { picture: 'off', word: 'Not serving' } as const;
  if (removedBy !== undefined && settings.model !== '')
    return { ...off, sentence: removedSentence(removedBy), next: 'pair', isProblem: true };
  if (settings.model === '') return { ...off, sentence: 'Choose the model that this phone is to run.', next: 'models' };
  return {
    ...off,
    sentence: `${model.title === '' ? 'The model' : model.title} answers nobody until you start.`,
    next: 'start',
  };
}

function fetchState({ settings }: PhoneView, model: ModelState): ServeState | undefined {
  if (settings.model === '')
    return { ...notServing, sentence: 'Choose the model that this phone is to run.', isProblem: true };
  if (model.kind === 'fetching') {
    const fraction = model.total > 0 ? Math.min(1, model.bytes / model.total) : 0;
    const megabytes = (bytes: number): number => Math.round(bytes / 1_048_576);
    return {
      picture: 'fetching',
      word: `Downloading ${Math.floor(fraction * 100)}\u00a0%`,
      sentence: `${megabytes(model.bytes)} of ${megabytes(model.total)} MB are here. Serving begins by itself.`,
      next: 'models',
      fraction,
    };
  }
  if (model.kind === 'checking')
    return {
      picture: 'fetching',
      word: 'Checking',
      sentence: 'The file is compared with what it must be.',
      next: 'models',
      fraction: 1,
    };
  if (model.kind === 'paused')
    return {
      ...notServing,
      sentence:
        model.waitsForWifi === true
          ? 'The model is fetched on Wi-Fi only. Join one, or allow mobile data in Settings.'
          : 'The download of the model is paused.',
    };
  if (model.kind === 'failed') return { ...notServing, sentence: model.message, isProblem: true };
  if (model.kind === 'absent')
    return { ...notServing, sentence: 'The chosen model is not on this phone yet.', isProblem: true };
  return undefined;
}

function pausedState({ gate, machine }: PhoneView): ServeState {
  const paused = { word: 'Paused' } as const;
  switch (gate?.code) {
    case 'thermal':
      return {
        ...paused,
        picture: 'hot',
        sentence: 'The phone is hot. It goes on by itself once it has been cool for half a minute.',
        next: 'settings',
      };
    case 'battery':
      return {
        ...paused,
        picture: 'battery',
        sentence: `The battery is at ${machine.battery?.pct ?? 0} %. Plug the phone in, or lower the limit in Settings.`,
        next: 'settings',
      };
    case 'saver':
      return {
        ...paused,
        picture: 'battery',
        sentence: 'The battery saver is on. Serving goes on when it is off.',
        next: 'settings',
      };
    case 'memory':
      return {
        ...paused,
        picture: 'memory',
        sentence: 'Other apps need the memory. The model comes back by itself.',
        next: 'settings',
      };
    case 'network':
      return {
        ...paused,
        picture: 'network',
        sentence:
          machine.net === 'none'
            ? 'There is no network. Join the Wi-Fi of your router.'
            : 'This phone serves on Wi-Fi only. Join it, or allow mobile data in Settings.',
        next: 'settings',
      };
    default:
      return {
        ...paused,
        picture: 'paused',
        sentence: 'You paused it. Routers send their requests elsewhere.',
        next: 'resume',
      };
  }
}

function linkedState({ routers, removedBy, settings }: PhoneView): ServeState {
  const connected = routers.filter(({ state }) => state.kind === 'connected');
  const [first] = connected;
  if (first !== undefined) {
    const to = connected.length === 1 ? first.router.name || 'one router' : `${connected.length} routers`;
    return { picture: 'serving', word: 'Serving', sentence: `This phone answers for ${to}.`, next: 'stop' };
  }
  const waiting = { picture: 'waiting', word: 'Waiting for a router' } as const;
  const needsOwner = { ...waiting, picture: 'attention', isProblem: true } as const;
  if (removedBy !== undefined && routers.length === 0)
    return { ...needsOwner, sentence: removedSentence(removedBy), next: 'pair' };
  const [router] = routers;
  if (router === undefined) return { ...waiting, sentence: 'No router is paired with this phone yet.', next: 'pair' };
  const sentence = linkSentence(router);
  if (isDialled(router) && !settings.listens)
    return {
      ...needsOwner,
      sentence: `${nameOf(router)} dials this phone, and may not: allow it in Settings.`,
      next: 'settings',
    };
  if (isDialled(router)) return { ...waiting, sentence, next: 'stop' };
  const code = 'code' in router.state ? router.state.code : '';
  const mustPair = router.state.kind === 'ended' || code === 'unknown_key';
  const state = mustPair || ownersConcern.has(code) ? needsOwner : waiting;
  return { ...state, sentence, next: mustPair ? 'pair' : 'retry' };
}

const removedSentence = (name: string): string => `${name} has removed this phone. Pair it again to go on.`;
/** Time alone does not mend these. */
const ownersConcern: ReadonlySet<string> = new Set(['duplicate_identity', 'unsupported_version']);
const nameOf = ({ router }: RouterView): string => (router.name === '' ? 'The router' : router.name);
const isDialled = ({ state }: RouterView): boolean => state.kind === 'ended' && state.code === 'dialled';

/** What is the matter with a link, and what to do. */
export function linkSentence(view: RouterView): string {
  const { router, state } = view;
  const name = nameOf(view);
  const at = router.hosts[0] ?? 'its address';
  if (state.kind === 'connected') return `${name} is connected.`;
  if (state.kind === 'connecting') return `Connecting to ${name}.`;
  switch (state.code) {
    case 'off':
      return `${name} is called when serving starts.`;
    case 'dialled':
      return `${name} dials this phone. It is served as soon as it does.`;
    case 'unreachable':
      return `${name} cannot be reached. Is it on, on this network, and is TCP ${router.port} open at ${at}?`;
    case 'unknown_key':
      return `${name} does not know this phone any more. Pair it again.`;
    case 'pairing_refused':
    case 'revoked':
      return `${name} has removed this phone. Pair it again.`;
    case 'duplicate_identity':
      return `Another phone calls ${name} with the same key. Stop it there, or pair both anew.`;
    case 'replaced':
      return `${name} took another link in place of this one.`;
    case 'unsupported_version':
      return `${name} speaks another version. Bring this app or the router up to date.`;
    case 'restarting':
    case 'closing':
      return `${name} has stopped. It is called again until it is back.`;
    default:
      return `The link to ${name} was lost. It is called again.`;
  }
}

/** In a word, for a list. */
export function linkWord({ kind }: LinkState): string {
  return { connected: 'Connected', connecting: 'Connecting', waiting: 'Away', ended: 'Not connected' }[kind];
}

/** What came of an attempt to pair. */
export function pairingSentence(code: string): string {
  switch (code) {
    case 'paired':
      return 'Paired. This phone serves that router from now on.';
    case 'no_code':
      return 'That is neither a link nor a code. A code has 26 letters and digits.';
    case 'no_address':
      return 'A code alone does not say where the router is. Type its address too.';
    case 'bad_address':
      return 'The address is not one. It looks like 192.168.1.10 or router.local:4870.';
    case 'shown_by_device':
      return 'This link was shown by a device. Scan the one that the router shows.';
    case 'unreachable':
      return 'Nobody answers there. Is the router on, on this network, and is TCP 4870 open?';
    case 'pairing_refused':
      return 'The router refused: the code is wrong, used or expired. Start another pairing there.';
    case 'wrong_key':
      return 'The router that answered is not the one that showed the link. Check the address.';
    default:
      return `The router ended it (${code}). Start another pairing there.`;
  }
}

const heat = ['cool', 'warm', 'warmer', 'hot', 'very hot', 'emergency', 'shutting down'];

/** Android's thermal status in a word. */
export function heatWord(status: number | undefined): string {
  return status === undefined ? 'not told' : (heat[status] ?? 'not told');
}
