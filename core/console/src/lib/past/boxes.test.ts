import { expect, test } from 'vitest';
import { neighbour, pictureAt, picturesOf, tracksOf, typeOf } from './boxes';

const bytes = (...parts: (number | number[] | string)[]): number[] =>
  parts.flatMap((part) =>
    typeof part === 'string'
      ? Array.from(part, (c) => c.charCodeAt(0))
      : typeof part === 'number'
        ? [part]
        : part,
  );
const u32 = (n: number): number[] => [24, 16, 8, 0].map((shift) => Math.floor(n / 2 ** shift) % 256);
const u64 = (n: number): number[] => [...u32(Math.floor(n / 2 ** 32)), ...u32(n % 2 ** 32)];
const zeros = (n: number): number[] => Array<number>(n).fill(0);
const box = (kind: string, ...content: number[][]): number[] => {
  const all = content.flat();
  return bytes(u32(all.length + 8), kind, all);
};

const track = (id: number, timescale: number, entry: number[]): number[] =>
  box(
    'trak',
    box('tkhd', [1, 0, 0, 3], zeros(16), u32(id), zeros(8)),
    box(
      'mdia',
      box('mdhd', [1, 0, 0, 0], zeros(16), u32(timescale), zeros(8)),
      box('minf', box('stbl', box('stsd', zeros(4), u32(1), entry))),
    ),
  );
const avc = box('avc1', zeros(78), box('avcC', [1, 0x4d, 0x40, 0x1e]));
const hevc = box(
  'hvc1',
  zeros(78),
  box('hvcC', [1, 0x01, ...u32(0x60000000), 0x90, 0, 0, 0, 0, 0, 93, ...zeros(10)]),
);
const opus = box('Opus', zeros(28), box('dOps', zeros(11)));
const init = new Uint8Array([
  ...box('ftyp', bytes('iso6')),
  ...box('moov', track(1, 90_000, avc), track(2, 48_000, opus)),
]);

/** Begins at 1795709370.48 s since 1970, as recordings do. */
const BEGIN = 1_795_709_370.48;
const fragment = (flags: number, rows: number[][], usual = 6000): number[] =>
  box(
    'moof',
    box(
      'traf',
      box('tfhd', [0, 2, 0, 0x28], u32(1), u32(usual), u32(0)),
      box('tfdt', [1, 0, 0, 0], u64(BEGIN * 90_000)),
      box('trun', [1, ...u32(flags).slice(1)], u32(rows.length), u32(0), rows.flat()),
    ),
  );
const piece = new Uint8Array([
  ...box('free', zeros(40)),
  ...fragment(0x201, [u32(9), u32(9), u32(9)]),
  ...box('mdat', zeros(27)),
]);

test('a player is told how a recording is encoded', () => {
  const tracks = tracksOf(init);
  expect(tracks.map(({ id, timescale, video }) => [id, timescale, video])).toEqual([
    [1, 90_000, true],
    [2, 48_000, false],
  ]);
  expect(typeOf(tracks)).toBe('video/mp4; codecs="avc1.4D401E,opus"');
  const h265 = tracksOf(new Uint8Array(box('moov', track(1, 90_000, hevc))));
  expect(typeOf(h265)).toBe('video/mp4; codecs="hvc1.1.6.L93.90"');
});

test('every picture has its moment', () => {
  const times = picturesOf(piece, tracksOf(init));
  expect(times.map((time) => Math.round(time - BEGIN * 1000))).toEqual([0, 67, 133]);
});

test('pictures in the order in which they are shown', () => {
  // Lengths of their own, and the second is shown last.
  const rows = [
    [...u32(3000), ...u32(0)],
    [...u32(3000), ...u32(6000)],
    [...u32(3000), ...u32(0)],
  ];
  const times = picturesOf(new Uint8Array(fragment(0x901, rows)), tracksOf(init));
  expect(times.map((time) => Math.round(time - BEGIN * 1000))).toEqual([0, 67, 100]);
});

test('the picture of a moment, and those beside it', () => {
  const times = [100, 140, 180];
  expect(pictureAt(times, 150)).toBe(140);
  expect(pictureAt(times, 50)).toBeUndefined();
  expect(neighbour(times, 150, 1)).toBe(180);
  expect(neighbour(times, 150, -1)).toBe(100);
  expect(neighbour(times, 180, 1)).toBeUndefined();
  expect(neighbour(times, 50, 1)).toBe(100);
  expect(neighbour(times, 50, -1)).toBeUndefined();
});

test('damaged bytes give less, and never an error', () => {
  const tracks = tracksOf(init);
  // The same in every run.
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  for (const whole of [init, piece]) {
    for (let end = 0; end <= whole.length; end += 1) {
      tracksOf(whole.slice(0, end));
      picturesOf(whole.slice(0, end), tracks);
    }
    for (let n = 0; n < 3000; n += 1) {
      const bad = whole.slice();
      for (let k = 0; k <= random(4); k += 1) bad[random(bad.length)] = random(256);
      tracksOf(bad);
      expect(picturesOf(bad, tracks).length).toBeLessThan(50_000);
    }
  }
});
