import { expect, test } from 'vitest';
import {
  answeredBy,
  browserOf,
  causeOf,
  chapters,
  filtersOf,
  kept,
  matches,
  merged,
  moved,
  NO_FILTERS,
  openedAt,
  searchOf,
  silenceEnds,
  standsOut,
  worstAt,
  type LogEntry,
  type RouterEvent,
} from './eventlist';

const event = (id: string, rest: Partial<RouterEvent> = {}): RouterEvent => ({
  id,
  revision: 1,
  phase: 'opened',
  commune: 'thu',
  camera: 'cho',
  kind: 'motion',
  severity: 'warning',
  began: 1e15,
  last: 1e15,
  ended: null,
  best: { kind: 'motion', at: 1e15, confidence: 1, regions: [], track: null, text: '', extra: [] },
  detections: 1,
  plugin: 'motion',
  picture: false,
  answered: null,
  assigned: null,
  silenced: false,
  extra: [],
  ...rest,
});
const ids = (events: RouterEvent[]): string => events.map(({ id }) => id).join('');

test('filters are in the address as they are asked for, and read back', () => {
  const filters = { ...NO_FILTERS, severity: 'warning', state: 'unanswered', text: 'rác & xe' } as const;
  const search = searchOf(filters);
  expect(search).toBe('?severity=warning&state=unanswered&text=r%C3%A1c+%26+xe');
  expect(filtersOf(search)).toEqual(filters);
  expect(searchOf(NO_FILTERS)).toBe('');
  expect(searchOf(NO_FILTERS, { limit: 50, before: '' })).toBe('?limit=50');
});

test('what is no filter in an address is none', () => {
  expect(filtersOf('?severity=red&state=gone&other=1')).toEqual(NO_FILTERS);
  expect(filtersOf('?text=' + 'x'.repeat(1000)).text).toHaveLength(200);
});

test('an event is wanted if all filters say so', () => {
  const wanted = (filters: Partial<typeof NO_FILTERS>, rest: Partial<RouterEvent> = {}): boolean =>
    matches(event('a', rest), { ...NO_FILTERS, ...filters });
  expect(wanted({})).toBe(true);
  expect(wanted({ camera: 'cho', kind: 'motion', severity: 'notice' })).toBe(true);
  expect(wanted({ camera: 'cau' })).toBe(false);
  expect(wanted({ camera: 'cho' }, { camera: null })).toBe(false);
  expect(wanted({ severity: 'alarm' })).toBe(false);
  const answered = { answered: { who: 'Lan', at: 1, false_alarm: false } };
  const wrong = { answered: { who: 'Lan', at: 1, false_alarm: true } };
  expect([wanted({ state: 'unanswered' }), wanted({ state: 'unanswered' }, answered)]).toEqual([true, false]);
  expect([wanted({ state: 'answered' }), wanted({ state: 'answered' }, wrong)]).toEqual([false, true]);
  expect([wanted({ state: 'false-alarm' }, answered), wanted({ state: 'false-alarm' }, wrong)]).toEqual([
    false,
    true,
  ]);
  expect([wanted({ state: 'open' }), wanted({ state: 'open' }, { ended: 5 })]).toEqual([true, false]);
});

test('events are there once, as they were last, the newest first, and not without end', () => {
  const list = merged(
    [event('b'), event('a', { revision: 3 })],
    [event('c'), event('a', { revision: 2 })],
    10,
  );
  expect(ids(list)).toBe('cba');
  expect(list.at(-1)?.revision).toBe(3);
  // An answer from before a change does not take it back; one of the same age is as good.
  expect(merged(list, [event('a', { revision: 3, last: 7 })], 10).at(-1)?.last).toBe(7);
  expect(ids(merged(list, [event('d')], 3))).toBe('dcb');
});

test('the cursor stays in the list', () => {
  expect(moved(['c', 'b', 'a'], null, 1)).toBe('c');
  expect(moved(['c', 'b', 'a'], 'c', 1)).toBe('b');
  expect(moved(['c', 'b', 'a'], 'a', 1)).toBe('a');
  expect(moved(['c', 'b', 'a'], 'c', -1)).toBe('c');
  expect(moved(['c', 'b', 'a'], 'gone', 1)).toBe('c');
  expect(moved([], null, 1)).toBe(null);
});

test('the cursor stays on its event, and goes on where that is gone', () => {
  expect(kept(['c', 'b', 'a'], ['d', 'c', 'b', 'a'], 'b')).toBe('b');
  expect(kept(['c', 'b', 'a'], ['c', 'a'], 'b')).toBe('a');
  expect(kept(['c', 'b', 'a'], ['c', 'b'], 'a')).toBe('b');
  expect(kept(['a'], [], 'a')).toBe(null);
});

test('what an answer will be', () => {
  expect(answeredBy('seen', 'Lan', 5)).toEqual({ who: 'Lan', at: 5, false_alarm: false });
  expect(answeredBy('false-alarm', 'Lan', 5)?.false_alarm).toBe(true);
  expect(answeredBy('taken-back', 'Lan', 5)).toBe(null);
});

test('a camera is marked by the worst that nobody has dealt with', () => {
  const answered = { answered: { who: 'Lan', at: 1, false_alarm: false } };
  const all = [
    event('h', { severity: 'alarm', silenced: true }),
    event('g', { severity: 'alarm', ended: 5 }),
    event('f', { severity: 'alarm', ...answered }),
    event('e', { severity: 'notice' }),
    event('d'),
    event('c', { severity: 'alarm' }),
    event('b', { severity: 'alarm' }),
    event('a', { camera: null }),
  ];
  expect([...worstAt(all)].map(([key, { id }]) => [key, id])).toEqual([['thu/cho', 'c']]);
  expect(standsOut(event('x', { ended: 5 }))).toBe(true);
});

test('an event’s name says when it was opened', () => {
  expect(openedAt('01m8b2qnex50956mdjw56n5zqm')).toBe(1_795_668_301_277);
});

test('what the router says of a camera has a cause', () => {
  const house = (text: string, rest: Partial<RouterEvent> = {}): RouterEvent => {
    const lost = event('a', { plugin: 'taimat', kind: 'camera-lost', ...rest });
    return { ...lost, best: { ...lost.best, text } };
  };
  expect(causeOf(house('main: refused: nothing listens: at 554'))).toEqual({
    cause: 'refused',
    detail: 'nothing listens: at 554',
  });
  expect(causeOf(house('main: refused: ', { plugin: 'motion' }))).toBe(null);
  expect(causeOf(house('9 MiB free', { camera: null }))).toBe(null);
});

test('a story has no repetitions', () => {
  const entry = (seq: number, what: 'opened' | 'updated' | 'closed'): LogEntry => ({
    seq,
    revision: seq,
    at: seq,
    what,
  });
  const log = [entry(1, 'opened'), entry(2, 'updated'), entry(3, 'updated'), entry(4, 'closed')];
  expect(chapters(log).map(({ entry, times }) => [entry.what, entry.seq, times])).toEqual([
    ['opened', 1, 1],
    ['updated', 3, 2],
    ['closed', 4, 1],
  ]);
});

test('browsers that have been told are one part of it', () => {
  const delivered = (seq: number, target: string, attempt = 1): LogEntry => ({
    seq,
    revision: 1,
    at: seq,
    what: 'delivered',
    target,
    delivery: seq,
    attempt,
  });
  const log = [
    delivered(1, 'phones/1'),
    delivered(2, 'phones/12'),
    delivered(3, 'desk'),
    delivered(4, 'desk'),
    delivered(5, 'phones/3'),
    delivered(6, 'phones/4', 2),
  ];
  expect(chapters(log).map(({ entry, targets = [] }) => [entry.seq, ...targets])).toEqual([
    [1, 'phones/12'],
    [3],
    [4],
    [5],
    [6],
  ]);
  expect([browserOf('phones/12'), browserOf('phones'), browserOf('/')]).toEqual(['phones', null, null]);
});

test('a silence ends in the commune’s zone', () => {
  const zone = 'Asia/Ho_Chi_Minh';
  const at = (...time: [number, number, number, number, number?]): number => Date.UTC(...time);
  const now = at(2023, 10, 14, 17, 5); // 00:05 on the 15th in Hà Nội
  expect(silenceEnds('hour', now, zone)).toBe(now + 3_600_000);
  expect(silenceEnds('week', now, zone)).toBe(now + 7 * 86_400_000);
  expect(silenceEnds('morning', now, zone)).toBe(at(2023, 10, 15, 23)); // 06:00 on the 16th
  expect(silenceEnds('morning', now - 600_000, zone)).toBe(at(2023, 10, 14, 23)); // 23:55 on the 14th
  // The night in which clocks are set back has an hour more.
  expect(silenceEnds('morning', at(2023, 9, 28, 20), 'Europe/Berlin')).toBe(at(2023, 9, 29, 5));
  expect(silenceEnds('morning', now, 'Nowhere/At_All')).toBeGreaterThan(now);
});
