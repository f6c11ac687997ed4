import { labelTokens } from '@lfo/device-core/token-labels';
import type { ChatRequest, Message, ToolSpec } from '@lfo/router/src/core/request.ts';
import { hashOf } from '@lfo/router/src/confidence/fitting/random.ts';
import type { Trace } from './trace-file.ts';

/** A request worded or furnished differently, whose answer stays what it was. */
export interface Changed {
  readonly request: ChatRequest;
  readonly trace: Trace;
}

/** A way to change a request. All wording is our own. `pool` are tools of other requests. */
export type Change = (request: ChatRequest, trace: Trace, pool: readonly ToolSpec[]) => Changed;

/** Changes that fitting may see. */
export const fitChanges: Readonly<Record<string, Change>> = {
  'talk before': before(fitTalk()),
  'thanks after': after([
    ' Thanks a lot in advance, you have been a great help with everything I sent you this week.',
    ' No hurry at all, I am going to make some coffee and will look at the answer when I am back.',
    ' Please double check before you reply, my colleagues will read it as well.',
  ]),
  'system voice': system([
    'You are a careful assistant of a small company. Answer politely, keep to the facts and never invent anything.',
    'You work for the support desk. The person you talk to is a long-standing customer; be friendly and brief.',
  ]),
  'borrowed tools': (request, trace, pool) => {
    const start = hashOf(`${request.id} borrowed`) % Math.max(1, pool.length);
    return withTools(request, trace, [...request.tools, ...pick(pool, start, 2, request.tools)]);
  },
  'camel case': (request, trace) =>
    renamed(request, trace, (name) => name.replaceAll(/_+(\w)/g, (_, letter: string) => letter.toUpperCase())),
  'German frame': (request, trace) =>
    worded(
      request,
      trace,
      (text) =>
        `Guten Morgen, ich hätte da noch eine Bitte an Sie. ${text} Vielen Dank im Voraus und einen schönen Tag.`,
    ),
  'lower case': (request, trace) => worded(request, trace, (text) => text.toLowerCase()),
};

/** Changes that only testing sees. */
export const testChanges: Readonly<Record<string, Change>> = {
  padded: before([
    'I have just moved my desk to the other side of the office, where the light is better, and while my tea is cooling down and the printer warms up I finally get to the one thing that has been waiting on my list since Tuesday. ',
    'My neighbour told me over the garden fence that you answer quicker than anyone he knows, and since the rain will keep me indoors for the rest of the afternoon anyway I thought I might as well try it out now. ',
  ]),
  polite: (request, trace) =>
    worded(
      request,
      trace,
      (text) =>
        `Would you be so kind as to look into this for me? ${text} I would really appreciate it, and please excuse the trouble.`,
    ),
  'system text': system([
    'Company policy: speak in plain language, respect opening hours, do not discuss internal matters, and refer complaints to the manager on duty. The current season is autumn. Replies should sound warm and professional.',
  ]),
  'earlier turns': (request, trace) => ({
    trace,
    request: {
      ...request,
      messages: [
        said('user', 'Hello, are you there?'),
        said('assistant', 'Yes, I am here. How can I help you today?'),
        said('user', 'I will come back with a question in a minute, the door bell is ringing.'),
        said('assistant', 'Of course, take your time.'),
        ...request.messages,
      ],
    },
  }),
  'tools renamed': (request, trace) => renamed(request, trace, (name) => `acme_v2_${name}`),
  'tools renamed otherwise': (request, trace) =>
    renamed(request, trace, (name) =>
      name
        .split('_')
        .map((part) => part.slice(0, 5))
        .toReversed()
        .join('_'),
    ),
  'tools reordered': (request, trace) =>
    withTools(
      request,
      trace,
      request.tools.toReversed().map((tool) => ({ ...tool, ...reorderedParameters(tool) })),
    ),
  distractors: (request, trace) => withTools(request, trace, [...ownTools, ...request.tools]),
  'other wording': (request, trace) => worded(request, trace, (text) => replaceWords(text, otherWords)),
  'Spanish frame': (request, trace) =>
    worded(
      request,
      trace,
      (text) =>
        `Hola, buenas tardes, espero que estés bien. ${text} Muchas gracias por tu ayuda, que tengas un buen día.`,
    ),
  'Chinese frame': (request, trace) =>
    worded(request, trace, (text) => `您好，我有一个问题想请您帮忙。${text} 非常感谢您的帮助，祝您今天愉快。`),
  'mixed language': (request, trace) => worded(request, trace, (text) => replaceWords(text, spanishWords)),
  'upper case': (request, trace) => worded(request, trace, (text) => text.toUpperCase()),
};

function before(openings: readonly string[]): Change {
  return (request, trace) => worded(request, trace, (text) => `${choice(openings, request.id)}${text}`);
}

function after(endings: readonly string[]): Change {
  return (request, trace) => worded(request, trace, (text) => `${text}${choice(endings, request.id)}`);
}

function system(voices: readonly string[]): Change {
  return (request, trace) => ({
    trace,
    request: { ...request, messages: [said('system', choice(voices, request.id)), ...request.messages] },
  });
}

function fitTalk(): readonly string[] {
  return [
    'Good morning! I slept badly and the bus was late again, so forgive me if this sounds a little short today, but here is what I would like you to do for me before lunch. ',
    'It has been a long week and the children are finally asleep, so now that the house is quiet and I have poured myself a glass of water, let me ask you something. ',
    'Hey, hope the weekend treated you well! My sister said I should try you out instead of searching around for hours, so I am curious what you make of this one. ',
  ];
}

/** Changes the last turn of the user. */
function worded(request: ChatRequest, trace: Trace, change: (text: string) => string): Changed {
  const last = request.messages.findLastIndex(({ role }) => role === 'user');
  const messages = request.messages.map((message, index): Message => {
    if (index !== last || message.role !== 'user') return message;
    return {
      ...message,
      content: message.content.map((part) => (part.type === 'text' ? { type: 'text', text: change(part.text) } : part)),
    };
  });
  return { request: { ...request, messages }, trace };
}

function withTools(request: ChatRequest, trace: Trace, tools: readonly ToolSpec[]): Changed {
  return { request: { ...request, tools }, trace };
}

/** Renames the declared tools, in the answer too; the tokens keep their probabilities. */
function renamed(request: ChatRequest, trace: Trace, change: (name: string) => string): Changed {
  const names = new Map(request.tools.map(({ name }) => [name, change(name)]));
  const labels = labelTokens(trace.pieces, request.tools);
  const pieces = [...trace.pieces];
  for (let from = 0; from < pieces.length; from += 1) {
    if (labels[from]?.label !== 'name') continue;
    let to = from;
    while (to + 1 < pieces.length && labels[to + 1]?.label === 'name') to += 1;
    const written = pieces.slice(from, to + 1).join('');
    const [word = ''] = /[\w-]+/.exec(written) ?? [];
    const name = names.get(word);
    if (name !== undefined) {
      pieces[from] = written.replace(word, name);
      pieces.fill('', from + 1, to + 1);
    }
    from = to;
  }
  const ended = trace.pieces.join('').length - trace.text.length;
  const joined = pieces.join('');
  return {
    request: { ...request, tools: request.tools.map((tool) => ({ ...tool, name: names.get(tool.name) ?? tool.name })) },
    trace: { ...trace, pieces, text: joined.slice(0, joined.length - ended) },
  };
}

function reorderedParameters({ parameters }: ToolSpec): Pick<ToolSpec, 'parameters'> {
  const properties = parameters?.['properties'];
  if (parameters === undefined || typeof properties !== 'object' || properties === null) return {};
  return { parameters: { ...parameters, properties: Object.fromEntries(Object.entries(properties).toReversed()) } };
}

function pick(pool: readonly ToolSpec[], start: number, count: number, but: readonly ToolSpec[]): readonly ToolSpec[] {
  const names = new Set(but.map(({ name }) => name));
  const picked: ToolSpec[] = [];
  for (let step = 0; step < pool.length && picked.length < count; step += 1) {
    const tool = pool[(start + step * 7) % pool.length];
    if (tool === undefined || names.has(tool.name)) continue;
    names.add(tool.name);
    picked.push(tool);
  }
  return picked;
}

function said(role: 'user' | 'assistant' | 'system', words: string): Message {
  const content = [{ type: 'text' as const, text: words }];
  return role === 'assistant' ? { role, content, toolCalls: [] } : { role, content };
}

function choice(from: readonly string[], id: string): string {
  return from[hashOf(id) % from.length] ?? '';
}

function replaceWords(text: string, words: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\p{L}+/gu, (word) => {
    const other = words.get(word.toLowerCase());
    if (other === undefined) return word;
    return /^\p{Lu}/u.test(word) ? `${other.charAt(0).toUpperCase()}${other.slice(1)}` : other;
  });
}

/** Pairs of words, `from=to`, parted by commas. */
function pairs(list: string): ReadonlyMap<string, string> {
  return new Map(
    list.split(',').map((pair) => {
      const [from = '', to = ''] = pair.trim().split('=');
      return [from, to] as const;
    }),
  );
}

const otherWords = pairs(
  'find=look up, calculate=work out, compute=work out, get=fetch, what=which, give=hand, tell=inform, show=present, ' +
    'determine=establish, need=require, want=wish, please=kindly, using=by means of, with=having, book=reserve, ' +
    'buy=purchase, search=look, list=enumerate, create=make, convert=turn, current=present, latest=newest, ' +
    'number=count, total=overall, best=finest, near=close to, between=from, information=details, help=assist, ' +
    'like=fancy, large=big, big=huge, small=little, area=surface, length=extent, speed=velocity, price=cost, ' +
    'cost=price, city=town, restaurant=diner, also=too, then=next, and=plus',
);
const spanishWords = pairs(
  'the=el, a=un, an=un, of=de, in=en, and=y, for=para, with=con, from=desde, to=a, what=qué, is=es, are=son, how=cómo, ' +
    'find=encuentra, calculate=calcula, get=obtén, give=dame, tell=dime, show=muestra, me=me, my=mi, i=yo, at=en, by=por, ' +
    'want=quiero, need=necesito, can=puedes, you=tú, please=por favor, which=cuál, when=cuándo, where=dónde, who=quién, ' +
    'between=entre, on=el, if=si, that=que, this=este, it=lo, has=tiene, have=tengo, would=quisiera, like=gustaría, or=o',
);

/** Everyday tools of our own making. */
const ownTools: readonly ToolSpec[] = [
  tool('send_postcard', 'Prints a picture postcard and mails it to an address.', {
    address: 'Where it goes.',
    message: 'What it says.',
  }),
  tool('water_plants', 'Opens the valve of the balcony irrigation for some minutes.', {
    minutes: 'How long the valve stays open.',
  }),
  tool('play_radio', 'Tunes the kitchen radio to a station.', { station: 'Name of the station.' }),
  tool('set_alarm_clock', 'Sets the bedside alarm clock.', {
    time: 'Time of day, HH:MM.',
    repeat: 'Days on which it repeats.',
  }),
  tool('order_groceries', 'Adds an item to the next grocery delivery.', {
    item: 'What to deliver.',
    quantity: 'How many.',
  }),
];

function tool(name: string, description: string, properties: Readonly<Record<string, string>>): ToolSpec {
  const [first = ''] = Object.keys(properties);
  return {
    name,
    description,
    parameters: {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, words]) => [key, { type: 'string', description: words }]),
      ),
      required: [first],
    },
  };
}
