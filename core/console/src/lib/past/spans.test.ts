import { expect, test } from 'vitest';
import { at, covered, gapsWithin, lastEnd, merged, nextStart, spansOf, union } from './spans';

const recorded = (start: number, end: number, elsewhere = false) => ({ start, end, elsewhere });
const spans = [recorded(100, 200), recorded(300, 400), recorded(500, 600, true)];

test('what the router says is in ms here', () => {
  const answer = {
    camera: 'cho',
    recorded: [{ start: 1_000_000, end: 2_000_000, elsewhere: false }],
    gaps: [{ start: 2_000_000, end: 2_500_000, reason: 'disk-full' as const }],
  };
  expect(spansOf(answer, 60_000)).toEqual({
    recorded: [recorded(1000, 2000)],
    gaps: [{ start: 2000, end: 2500, reason: 'disk-full' }],
  });
});

test('what is being written is not missing, unless it is known why', () => {
  const open = (reason: 'pictures-missing' | 'camera-lost' | 'not-yet', start: number, end: number) =>
    spansOf({ camera: 'cho', recorded: [], gaps: [{ start: start * 1000, end: end * 1000, reason }] }, 60_000)
      .gaps.length;
  expect(open('pictures-missing', 55_000, 60_000)).toBe(0);
  expect(open('camera-lost', 55_000, 60_000)).toBe(1);
  expect(open('pictures-missing', 40_000, 60_000)).toBe(1);
  expect(open('pictures-missing', 50_000, 55_000)).toBe(1);
  expect(open('not-yet', 50_000, 90_000)).toBe(0);
});

test('a moment is in what begins at it, and not in what ends at it', () => {
  expect(at(spans, 99)).toBeUndefined();
  expect(at(spans, 100)).toBe(spans[0]);
  expect(at(spans, 200)).toBeUndefined();
  expect(at(spans, 399)).toBe(spans[1]);
  const none: typeof spans = [];
  expect(at(none, 1)).toBeUndefined();
});

test('what comes next can be played', () => {
  expect(nextStart(spans, 150)).toBe(150);
  expect(nextStart(spans, 200)).toBe(300);
  // What is kept elsewhere is fetched.
  expect(nextStart(spans, 450)).toBe(500);
  expect(nextStart(spans, 700)).toBeNull();
  expect(lastEnd(spans, 250)).toBe(200);
  expect(lastEnd(spans, 50)).toBeNull();
});

test('what is less than a pixel apart is one bar, unless it is something else', () => {
  const bars = merged(spans, { from: 150, to: 550, least: 100 }, (a, b) => a.elsewhere === b.elsewhere);
  expect(bars).toEqual([recorded(150, 400), recorded(500, 550, true)]);
  expect(merged(spans, { from: 150, to: 550, least: 1 })).toHaveLength(3);
  // What is given stays as it was.
  expect(spans[0]).toEqual(recorded(100, 200));
});

test('two profiles are one recording', () => {
  expect(union([recorded(0, 10), recorded(20, 30)], [recorded(5, 22)])).toEqual([recorded(0, 30)]);
  expect(union([], [recorded(1, 2)])).toEqual([recorded(1, 2)]);
});

test('of an interval, what was recorded and what is missing are all of it', () => {
  const gaps = [
    { start: 0, end: 1000, reason: 'off' as const },
    { start: 3000, end: 3100, reason: 'pictures-missing' as const },
    { start: 4000, end: 9000, reason: 'camera-lost' as const },
  ];
  const all = { recorded: [recorded(1000, 3000), recorded(3100, 4000)], gaps };
  expect(covered(all.recorded, 500, 5000)).toBe(2900);
  // A tenth of a second is not worth a word.
  expect(gapsWithin(all, 500, 5000)).toEqual([
    { start: 500, end: 1000, reason: 'off' },
    { start: 4000, end: 5000, reason: 'camera-lost' },
  ]);
});
