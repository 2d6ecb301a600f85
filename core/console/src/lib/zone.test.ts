import { expect, test } from 'vitest';
import { dayThere, fieldOf, offsetAt, ofField, onDay } from './zone';

const HANOI = 'Asia/Ho_Chi_Minh';
const EVENING = Date.parse('2026-11-26T18:30:15Z');

test('a day is the day there', () => {
  expect(dayThere(EVENING, HANOI)).toBe('2026-11-27');
  expect(dayThere(EVENING, 'UTC')).toBe('2026-11-26');
  expect(offsetAt(EVENING + 345, HANOI)).toBe(7 * 3_600_000);
});

test('another day at the same time of day', () => {
  expect(onDay('2026-11-20', EVENING, HANOI)).toBe(Date.parse('2026-11-19T18:30:15Z'));
  expect(onDay('', EVENING, HANOI)).toBeNull();
  // Clocks were set back in between.
  expect(onDay('2026-10-20', Date.parse('2026-11-20T12:00:00Z'), 'Europe/Berlin')).toBe(
    Date.parse('2026-10-20T11:00:00Z'),
  );
});

test('what a field says comes back as it went in', () => {
  for (const zone of [HANOI, 'Europe/Berlin', 'America/New_York', 'UTC']) {
    const field = fieldOf(EVENING, zone);
    expect(ofField(field, zone), zone).toBe(EVENING);
  }
  expect(ofField('2026-11-27T01:30', HANOI)).toBe(EVENING - 15_000);
  expect(ofField('soon', HANOI)).toBeNull();
});
