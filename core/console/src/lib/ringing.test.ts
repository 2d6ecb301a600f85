import { expect, test } from 'vitest';
import type { RouterEvent } from './eventlist';
import { Ringing } from './ringing';

const OPENED = 1_795_668_301_277;
const ID = '01m8b2qnex50956mdjw56n5zq';

const event = (last: string, rest: Partial<RouterEvent> = {}): RouterEvent =>
  ({
    id: ID + last,
    severity: 'warning',
    answered: null,
    silenced: false,
    ended: null,
    ...rest,
  }) as RouterEvent;

test('what happens while the page is open is news, once', () => {
  const ringing = new Ringing(OPENED - 5000);
  expect(ringing.isNews(event('a'), OPENED + 300)).toBe(true);
  expect(ringing.isNews(event('a', { revision: 2 }), OPENED + 900)).toBe(false);
  expect(ringing.isNews(event('b'), OPENED + 900)).toBe(true);
});

test('what was there before, and what is told late, is none', () => {
  expect(new Ringing(OPENED + 1).isNews(event('a'), OPENED + 300)).toBe(false);
  const ringing = new Ringing(OPENED - 5000);
  expect(ringing.isNews(event('a'), OPENED + 60_001)).toBe(false);
  expect(ringing.isNews(event('a'), OPENED + 1)).toBe(false);
  expect(ringing.isNews(event('b'), OPENED + 60_000)).toBe(true);
});

test('nor is what nobody has to look at', () => {
  const ringing = new Ringing(0);
  const answered = { answered: { who: 'Lan', at: 1, false_alarm: false } };
  for (const rest of [{ severity: 'notice' as const }, { silenced: true }, answered]) {
    expect(ringing.isNews(event('a', rest), OPENED)).toBe(false);
  }
  // It becomes worse, or somebody takes an answer back.
  expect(ringing.isNews(event('a', { severity: 'alarm' }), OPENED + 10)).toBe(true);
});

test('tones do not pile up, but an alarm is heard over a warning', () => {
  const ringing = new Ringing(0);
  const [warning, alarm] = [event('a'), event('b', { severity: 'alarm' })];
  expect(ringing.pitch(warning, 0)).toBe('warning');
  expect(ringing.pitch(warning, 500)).toBe(null);
  expect(ringing.pitch(alarm, 600)).toBe('alarm');
  expect(ringing.pitch(alarm, 700)).toBe(null);
  expect(ringing.pitch(warning, 2000)).toBe(null);
  expect(ringing.pitch(warning, 2100)).toBe('warning');
  // A clock that was set back does not silence it.
  expect(ringing.pitch(warning, 100)).toBe('warning');
});

test('what was rung for is not remembered for ever', () => {
  const ringing = new Ringing(0);
  const name = (n: number): string => n.toString(32).padStart(3, '0');
  for (let n = 0; n < 2000; n += 1) ringing.isNews(event(name(n)), OPENED);
  expect(ringing.isNews(event(name(1999)), OPENED)).toBe(false);
});
