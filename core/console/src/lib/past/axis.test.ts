import { expect, test } from 'vitest';
import {
  bounded,
  endOf,
  LEAST_SPAN,
  MOST_SPAN,
  startOf,
  stepped,
  ticksOf,
  timeOf,
  windowFor,
  xOf,
} from './axis';

const HOUR = 3_600_000;
const axis = { moment: 1_800_000_000_000, span: HOUR, width: 1200 };

test('the moment is in the middle, and pixels are times', () => {
  expect(xOf(axis, axis.moment)).toBe(600);
  expect(timeOf(axis, 600)).toBe(axis.moment);
  expect(timeOf(axis, 0)).toBe(startOf(axis));
  expect(xOf(axis, endOf(axis))).toBe(1200);
  for (const x of [0, 13, 599.5, 1200]) expect(xOf(axis, timeOf(axis, x))).toBeCloseTo(x, 6);
  // A line that is not laid out yet divides by nothing.
  expect(Number.isFinite(timeOf({ ...axis, width: 0 }, 5))).toBe(true);
});

test('it shows a minute at least and a month at most', () => {
  expect(bounded(1)).toBe(LEAST_SPAN);
  expect(bounded(1e15)).toBe(MOST_SPAN);
  expect(stepped(HOUR, true)).toBe(6 * HOUR);
  expect(stepped(HOUR, false)).toBe(HOUR / 6);
  expect(stepped(MOST_SPAN, true)).toBe(MOST_SPAN);
  expect(stepped(LEAST_SPAN, false)).toBe(LEAST_SPAN);
});

test('what is asked for is never more than the router answers', () => {
  for (const span of [LEAST_SPAN, HOUR, 20 * 24 * HOUR, MOST_SPAN]) {
    const { from, to } = windowFor({ ...axis, span });
    expect(to - from).toBeLessThanOrEqual(MOST_SPAN);
    expect(from).toBeLessThanOrEqual(axis.moment - span / 2);
    expect(to).toBeGreaterThanOrEqual(axis.moment + span / 2);
  }
});

test('labels do not touch, and midnight is a day there', () => {
  const hanoi = (): number => 7 * HOUR;
  for (const span of [LEAST_SPAN, 10 * 60_000, HOUR, 24 * HOUR, 7 * 24 * HOUR, MOST_SPAN]) {
    const ticks = ticksOf({ ...axis, span }, hanoi);
    expect(ticks.length).toBeGreaterThan(1);
    for (const [n, tick] of ticks.entries()) {
      if (n > 0) expect(tick.x - (ticks[n - 1]?.x ?? 0)).toBeGreaterThanOrEqual(70);
      expect(tick.day).toBe((tick.time + 7 * HOUR) % (24 * HOUR) === 0);
    }
  }
});
