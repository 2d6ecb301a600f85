import { expect, test } from 'vitest';
import { bytesOf } from './cutting';
import { parsePlaylist, pieceAt } from './playlist';

const TEXT = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="segments/8.mp4?profile=main",BYTERANGE="669@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-26T16:08:07.996Z
#EXTINF:2.484011,
#EXT-X-BYTERANGE:140664@717
segments/8.mp4?profile=main
#EXT-X-PROGRAM-DATE-TIME:2026-11-26T16:08:10.480Z
#EXTINF:2.000000,
#EXT-X-BYTERANGE:82328@141381
segments/8.mp4?profile=main
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="segments/9.mp4?profile=main",BYTERANGE="700@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-26T16:09:00.000Z
#EXTINF:1.000000,
#EXT-X-BYTERANGE:1000@748
segments/9.mp4?profile=main
#EXT-X-ENDLIST
`;
const START = Date.parse('2026-11-26T16:08:07.996Z');

test('pieces with their times, their bytes and what comes before them', () => {
  const { pieces, ended } = parsePlaylist(TEXT);
  expect(ended).toBe(true);
  expect(pieces).toHaveLength(3);
  const [first, , third] = pieces;
  expect(first).toMatchObject({ file: 'segments/8.mp4?profile=main', offset: 717, bytes: 140_664 });
  expect(first?.start).toBe(START);
  expect(first?.end).toBeCloseTo(START + 2484.011, 3);
  expect(first?.init).toEqual({ file: 'segments/8.mp4?profile=main', offset: 0, bytes: 669 });
  expect(third?.init.bytes).toBe(700);
});

test('a moment has its piece, or none', () => {
  const { pieces } = parsePlaylist(TEXT);
  expect(pieceAt(pieces, START - 100)).toBeUndefined();
  expect(pieceAt(pieces, START)).toBe(pieces[0]);
  expect(pieceAt(pieces, START + 2484)).toBe(pieces[1]);
  expect(pieceAt(pieces, START + 10_000)).toBeUndefined();
});

test('what is no playlist has no pieces', () => {
  for (const text of [
    '',
    '<html>',
    '#EXTM3U',
    '#EXTM3U\nsegments/1.mp4',
    TEXT.replaceAll('BYTERANGE', 'X'),
  ]) {
    expect(parsePlaylist(text).pieces).toEqual([]);
  }
  expect(parsePlaylist('#EXTM3U\n').ended).toBe(false);
});

test('bytes of an interval: whole pieces, and a share of those at its ends', () => {
  const pieces = [
    { start: 0, end: 2000, bytes: 100 },
    { start: 2000, end: 4000, bytes: 300 },
  ];
  expect(bytesOf(pieces, { from: 1000, to: 4000 })).toBe(350);
  expect(bytesOf(pieces, { from: 5000, to: 6000 })).toBe(0);
});
