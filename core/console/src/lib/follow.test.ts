import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RouterEvent } from './eventlist';
import { EventList, OneEvent } from './events.svelte';
import { Follow, type Told } from './follow.svelte';

vi.mock('./sight', () => ({ sight: { seen: true, listen: () => () => undefined } }));

/** The browser's side of server-sent events, told by hand. */
class Source {
  static readonly CLOSED = 2;
  static all: Source[] = [];
  static get last(): Source {
    const last = Source.all.at(-1);
    if (!last) throw new Error('nothing is followed');
    return last;
  }
  readyState = 0;
  onopen: () => void = () => undefined;
  onerror: () => void = () => undefined;
  onmessage: (message: { data: string }) => void = () => undefined;
  constructor(readonly url: string) {
    Source.all.push(this);
  }
  open(): void {
    this.readyState = 1;
    this.onopen();
  }
  lose(closed = false): void {
    this.readyState = closed ? Source.CLOSED : 0;
    this.onerror();
  }
  tell(told: Told): void {
    this.onmessage({ data: JSON.stringify(told) });
  }
  close(): void {
    this.readyState = Source.CLOSED;
  }
}

const event = (id: string, rest: Partial<RouterEvent> = {}): RouterEvent =>
  ({
    id,
    revision: 1,
    commune: 'thu',
    camera: 'cho',
    kind: 'motion',
    severity: 'warning',
    ended: null,
    answered: null,
    silenced: false,
    ...rest,
  }) as RouterEvent;
const told = (seq: number, event: RouterEvent, what: 'opened' | 'updated' = 'opened'): Told => ({
  entry: { seq, revision: event.revision, at: seq, what },
  event,
});

let asked: string[] = [];
let answers: Record<string, unknown> = {};
let page: { events: RouterEvent[]; next: string | null; seq: number };

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answers = {};
  Source.all = [];
  page = { events: [], next: null, seq: 7 };
  vi.stubGlobal('EventSource', Source);
  vi.stubGlobal('fetch', (path: string, request?: RequestInit) => {
    asked.push(`${request?.method ?? 'GET'} ${path.replace('/api/v1/communes/thu/', '')}`);
    const known = Object.entries(answers).find(([part]) => path.includes(part))?.[1];
    if (known instanceof Response) return Promise.resolve(known.clone());
    const json = known ?? (path.includes('/standing') ? { open: 1, unanswered: 3 } : page);
    return Promise.resolve(new Response(JSON.stringify(json)));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settled = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('what stands out is asked for, then followed from there', async () => {
  page.events = [event('b'), event('a', { answered: { who: 'Lan', at: 1, false_alarm: false } })];
  const seen: string[] = [];
  const follow = new Follow('thu', ({ id }) => seen.push(id));
  const stop = follow.start(true);
  await settled();
  expect(Source.last.url).toContain('/events/live?after=7');
  expect(follow.standing.map(({ id }) => id)).toEqual(['b']);
  expect(follow.unanswered).toBe(3);
  Source.last.open();
  expect(follow.live).toBe(true);
  Source.last.tell(told(8, event('c')));
  Source.last.tell(told(9, event('b', { revision: 2, ended: 5 }), 'updated'));
  // Told twice is heard once.
  Source.last.tell(told(8, event('d')));
  expect(follow.standing.map(({ id }) => id)).toEqual(['c']);
  expect(seen).toEqual(['b', 'a', 'c', 'b']);
  stop();
  expect(Source.last.readyState).toBe(Source.CLOSED);
});

test('a storm of events is counted once a second', async () => {
  const follow = new Follow('thu');
  const stop = follow.start(true);
  await settled();
  Source.last.open();
  asked = [];
  for (let seq = 8; seq < 500; seq += 1) Source.last.tell(told(seq, event(String(seq))));
  await settled(1500);
  expect(asked).toEqual(['GET events/standing']);
  stop();
});

test('after an interruption what is shown is asked for anew; a router with other events counts anew', async () => {
  const follow = new Follow('thu');
  let anew = 0;
  follow.listen({ anew: () => (anew += 1) });
  const stop = follow.start(true);
  await settled();
  Source.last.open();
  expect(anew).toBe(1);
  Source.last.tell(told(20, event('c')));
  Source.last.lose();
  expect(follow.live).toBe(false);
  page.seq = 21;
  Source.last.open();
  await settled();
  expect([anew, Source.all.length, follow.live]).toEqual([2, 1, true]);
  // Its data was removed: the browser would wait for entries behind 20 that come in a year.
  page.seq = 3;
  Source.last.lose();
  Source.last.open();
  await settled();
  expect(Source.last.url).toContain('after=3');
  stop();
});

test('a router that has nothing to follow is asked again, with patience', async () => {
  const follow = new Follow('thu');
  answers['severity=warning'] = new Response('', { status: 503 });
  const stop = follow.start(true);
  await settled(60_000);
  expect(Source.all).toHaveLength(0);
  const tries = asked.length;
  expect(tries).toBeGreaterThan(4);
  expect(tries).toBeLessThan(20);
  answers = {};
  await settled(31_000);
  expect(Source.all).toHaveLength(1);
  Source.last.lose(true);
  await settled(31_000);
  expect(Source.all).toHaveLength(2);
  stop();
  await settled(60_000);
  expect(Source.all).toHaveLength(2);
});

test('without being told, it is asked for now and then', async () => {
  const seen: string[] = [];
  const follow = new Follow('thu', ({ id }) => seen.push(id));
  const stop = follow.start(false);
  await settled();
  page.events = [event('a')];
  await settled(5000);
  expect([seen, Source.all.length]).toEqual([['a'], 0]);
  stop();
});

async function followed(search = ''): Promise<{ list: EventList; stop: () => void }> {
  const follow = new Follow('thu');
  const list = new EventList('thu');
  const stops = [list.start(follow), follow.start(true)];
  list.show(search);
  await settled();
  Source.last.open();
  return { list, stop: () => stops.forEach((stop) => stop()) };
}
const shown = (list: EventList): string => list.events.map(({ id }) => id).join('');

test('the list is what is wanted, and what happens since', async () => {
  page.events = [event('b'), event('a')];
  const { list, stop } = await followed('?severity=warning');
  expect(asked).toContain('GET events?severity=warning&limit=50');
  expect([shown(list), list.cursor]).toEqual(['ba', 'b']);
  Source.last.tell(told(8, event('c')));
  Source.last.tell(told(9, event('d', { severity: 'info' })));
  Source.last.tell(told(10, event('a', { revision: 2, ended: 5 })));
  expect([shown(list), list.cursor, list.events[2]?.ended]).toEqual(['cba', 'b', 5]);
  stop();
});

test('words are searched by the router, again a second after something happened', async () => {
  page.events = [event('a')];
  const { list, stop } = await followed('?text=xe');
  page.events = [event('c'), event('a')];
  asked = [];
  for (let seq = 8; seq < 20; seq += 1) Source.last.tell(told(seq, event('c')));
  await settled(900);
  expect(shown(list)).toBe('a');
  await settled(200);
  expect(shown(list)).toBe('ca');
  expect(asked.filter((path) => path.includes('text=xe'))).toHaveLength(1);
  stop();
});

test('what happens while a page is on its way is not lost', async () => {
  page.events = [event('a')];
  const { list, stop } = await followed();
  const loading = list.load();
  Source.last.tell(told(8, event('b')));
  await loading;
  expect(shown(list)).toBe('ba');
  stop();
});

test('an answer is seen at once; the event stays under the hand, and goes when that moves', async () => {
  page.events = [event('b'), event('a')];
  const { list, stop } = await followed('?state=unanswered');
  const answered = event('b', { revision: 2, answered: { who: 'Lan', at: 9, false_alarm: false } });
  answers['/b/answer'] = told(8, answered, 'updated');
  const answering = list.answer(list.about(), 'seen', 'Lan');
  expect(list.events[0]?.answered?.who).toBe('Lan');
  await answering;
  expect([shown(list), list.events[0]?.revision]).toEqual(['ba', 2]);
  list.move(1);
  expect([shown(list), list.cursor]).toEqual(['a', 'a']);
  stop();
});

test('a refusal is said by its kind and in the router’s words, and the answer is gone again', async () => {
  page.events = [event('a')];
  const { list, stop } = await followed();
  answers['/a/answer'] = new Response(
    JSON.stringify({ type: '/problems/not-accepted', detail: 'the name is too long' }),
    { status: 422 },
  );
  await list.answer(list.about(), 'seen', 'L'.repeat(100));
  expect([list.events[0]?.answered, list.refused]).toEqual([
    null,
    { kind: 'not-accepted', detail: 'the name is too long' },
  ]);
  stop();
});

test('several at once, and those that are not there any more', async () => {
  page.events = [event('c'), event('b'), event('a')];
  const { list, stop } = await followed('?state=unanswered');
  list.choose('b');
  list.choose('a');
  answers['/answers'] = { answered: ['b'], unknown: ['a'] };
  await list.answer(list.about(), 'false-alarm', 'Lan');
  expect(asked).toContain('POST events/answers');
  expect([shown(list), list.chosen.size]).toEqual(['c', 0]);
  stop();
});

test('older ones, as long as there is room', async () => {
  page.events = Array.from({ length: 50 }, (_, n) => event(`z${String(99 - n)}`));
  page.next = 'z50';
  const { list, stop } = await followed();
  page.events = [event('y')];
  page.next = null;
  await list.more();
  expect(asked).toContain('GET events?limit=50&before=z50');
  expect([list.events.length, list.next]).toEqual([51, null]);
  for (let seq = 8; seq < 600; seq += 1) Source.last.tell(told(seq, event(`zz${String(1000 + seq)}`)));
  expect([list.events.length, list.full]).toEqual([500, true]);
  stop();
});

test('the story grows as it is told, each entry once', async () => {
  const follow = new Follow('thu');
  const one = new OneEvent('thu', 'a');
  const { entry, event: first } = told(5, event('a'));
  answers['events/a'] = { event: first, log: [entry] };
  const stops = [one.start(follow), follow.start(true)];
  await settled();
  Source.last.open();
  Source.last.tell(told(8, event('a', { revision: 2 }), 'updated'));
  Source.last.tell(told(9, event('b')));
  expect([one.story?.log.map(({ seq }) => seq), one.story?.event.revision]).toEqual([[5, 8], 2]);
  // An answer from before does not take the page back.
  await one.load();
  expect(one.story?.event.revision).toBe(2);
  answers['events/x'] = new Response('', { status: 404 });
  const other = new OneEvent('thu', 'x');
  await other.load();
  expect(other.gone).toBe(true);
  stops.forEach((stop) => stop());
});

test('what is told while the story is on its way is in it, though the answer is older', async () => {
  const follow = new Follow('thu');
  const one = new OneEvent('thu', 'a');
  const { entry, event: first } = told(5, event('a'));
  answers['events/a'] = { event: first, log: [entry] };
  const stops = [follow.start(true)];
  await settled();
  Source.last.open();
  stops.push(one.start(follow));
  Source.last.tell(told(8, event('a', { revision: 2 }), 'updated'));
  expect(one.story).toBeNull();
  await settled();
  expect([one.story?.log.map(({ seq }) => seq), one.story?.event.revision]).toEqual([[5, 8], 2]);
  stops.forEach((stop) => stop());
});
