import { expect, test } from 'vitest';
import { marksAt, type Mark, type Seen } from './marks';

// Where marks are between the pictures that a detector has looked at.

const mark = (x: number, y: number, size = 0.1, rest: Partial<Mark> = {}): Mark => ({
  rect: { x, y, width: size, height: size },
  kind: 'motion',
  text: '',
  track: null,
  ...rest,
});
const seen = (ms: number, ...marks: Mark[]): Seen => ({ at: ms * 1000, marks });
const places = (list: Seen[], ms: number): number[] =>
  (marksAt(list, ms * 1000)?.marks ?? []).map(({ rect }) => Number(rect.x.toFixed(4)));

test('what moves goes on between two pictures and a little after the last', () => {
  const list = [seen(0, mark(0.1, 0.5)), seen(200, mark(0.18, 0.5))];
  expect(places(list, 0)).toEqual([0.1]);
  expect(places(list, 50)).toEqual([0.12]);
  expect(places(list, 150)).toEqual([0.16]);
  expect(places(list, 200)).toEqual([0.18]);
  expect(places(list, 300)).toEqual([0.22]);
  // No further than it was seen to go.
  expect(places(list, 5000)).toEqual([0.26]);
  expect(places(list, -100)).toEqual([0.06]);
});

test('things are told apart: by nearness, by size, by track', () => {
  const two = [seen(0, mark(0.1, 0.2), mark(0.5, 0.2)), seen(200, mark(0.55, 0.2), mark(0.05, 0.2))];
  expect(places(two, 50)).toEqual([0.0875, 0.5125]);
  // A group is not one of its parts, and nobody jumps through the picture.
  const group = [seen(0, mark(0.1, 0.2)), seen(200, mark(0.12, 0.2, 0.3))];
  expect(places(group, 90)).toEqual([0.1]);
  const jump = [seen(0, mark(0.1, 0.2)), seen(200, mark(0.8, 0.2))];
  expect(places(jump, 90)).toEqual([0.1]);
  const tracks = [seen(0, mark(0.1, 0.2, 0.1, { track: 7 })), seen(200, mark(0.5, 0.2, 0.1, { track: 7 }))];
  expect(places(tracks, 100)).toEqual([0.3]);
  const others = [seen(0, mark(0.1, 0.2, 0.1, { track: 7 })), seen(200, mark(0.1, 0.2, 0.1, { track: 8 }))];
  expect(places(others, 40)).toEqual([0.1]);
});

test('one picture alone, pictures far apart and none at all', () => {
  expect(marksAt([], 0)).toBeNull();
  expect(places([seen(0, mark(0.1, 0.2))], 300)).toEqual([0.1]);
  expect(places([seen(0, mark(0.1, 0.2)), seen(2000, mark(0.2, 0.2))], 900)).toEqual([0.1]);
  // Pictures in which nothing was seen are not told of: what was seen last stays where it was.
  expect(places([seen(0, mark(0.1, 0.2)), seen(200)], 80)).toEqual([0.1]);
});

test('what is of another kind or has another name is another thing', () => {
  const kinds = [seen(0, mark(0.1, 0.2)), seen(200, mark(0.12, 0.2, 0.1, { kind: 'change' }))];
  expect(places(kinds, 80)).toEqual([0.1]);
  const names = [seen(0, mark(0.1, 0.2, 0.1, { text: 'a' })), seen(200, mark(0.12, 0.2, 0.1, { text: 'b' }))];
  expect(places(names, 80)).toEqual([0.1]);
});

test('the picture that was looked at is told, and its marks are not changed', () => {
  const list = [seen(0, mark(0.1, 0.5)), seen(200, mark(0.18, 0.5))];
  expect(marksAt(list, 120_000)?.at).toBe(200_000);
  expect(list[1]?.marks[0]?.rect.x).toBe(0.18);
});
