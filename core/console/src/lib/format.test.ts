import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { bitrate, bytes, clockTime, count, milliseconds } from './format';

const ZONE = 'Asia/Ho_Chi_Minh';
/** 00:05 on 15 November 2023 in Hà Nội. */
const NOW = Date.UTC(2023, 10, 14, 17, 5) / 1000;
const HOUR = 3600;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW * 1000 });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a time of day is in the commune’s zone, with 24 hours, after midnight too', () => {
  for (const language of ['vi', 'en']) {
    expect(clockTime(NOW, ZONE, language)).toBe('00:05');
    expect(clockTime(NOW - 2 * HOUR, ZONE, language)).toBe('22:05');
    expect(clockTime(NOW + 2 * HOUR, ZONE, language)).toBe('02:05');
  }
});

test('a time further away has its day, before or after', () => {
  for (const language of ['vi', 'en']) {
    const before = clockTime(NOW - 30 * HOUR, ZONE, language);
    expect(before).toMatch(/13.11/);
    expect(before).toContain('18:05');
    const after = clockTime(NOW + 30 * HOUR, ZONE, language);
    expect(after).toMatch(/16.11/);
    expect(after).toContain('06:05');
  }
});

test('a zone that the browser does not know is no reason to say nothing', () => {
  expect(clockTime(NOW, 'Nowhere/At_All', 'vi')).toMatch(/^\d\d:\d\d$/);
});

test('numbers as each language groups them', () => {
  expect(count(12_345, 'vi')).toBe('12.345');
  expect(count(12_345, 'en')).toBe('12,345');
});

test('rates, delays and sizes, and that they are not known', () => {
  expect(bitrate(null)).toBe('–');
  expect(bitrate(0)).toBe('0 kbit/s');
  expect(bitrate(640_400)).toBe('640 kbit/s');
  expect(bitrate(1_250_000)).toBe('1.3 Mbit/s');
  expect(milliseconds(null)).toBe('–');
  expect(milliseconds(12.4)).toBe('12 ms');
  expect(bytes(2048)).toBe('2 KiB');
  expect(bytes(3 << 20)).toBe('3.0 MiB');
});
