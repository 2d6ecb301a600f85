import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ago, bitrate, bytes, clockTime, count, duration, exactTime, milliseconds } from './format';

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

test('less than an hour ago is said so, by the clock that is given', () => {
  const said = (past: number, language: string): string => ago(NOW - past, NOW, ZONE, language);
  expect(said(0, 'vi')).toBe('bây giờ');
  expect(said(12, 'vi')).toBe('12 giây trước');
  expect(said(3 * 60 + 59, 'vi')).toBe('3 phút trước');
  expect(said(3 * 60, 'en')).toBe('3 minutes ago');
  expect(said(HOUR - 1, 'en')).toBe('59 minutes ago');
  expect(said(HOUR, 'vi')).toBe('23:05');
  // A clock that is behind is no reason to speak of the future.
  expect(said(-30, 'en')).toBe('now');
});

test('how long something lasted', () => {
  expect([1, 119, 120, 7100, 7200, 200_000].map((s) => duration(s, 'en'))).toEqual([
    '1 second',
    '119 seconds',
    '2 minutes',
    '118 minutes',
    '2 hours',
    '2 days',
  ]);
  expect(duration(180, 'vi')).toBe('3 phút');
});

test('a moment has its day and its second', () => {
  for (const language of ['vi', 'en']) {
    const said = exactTime(NOW + 7, ZONE, language);
    expect(said).toContain('00:05:07');
    expect(said).toMatch(/15.11.2023/);
  }
  expect(exactTime(NOW, 'Nowhere/At_All', 'vi')).toContain('2023');
});
