import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Library } from './library';

const BEGIN = Date.parse('2026-11-26T16:00:00Z');
const line = (n: number): string => `#EXT-X-PROGRAM-DATE-TIME:${new Date(BEGIN + n * 2000).toISOString()}
#EXTINF:2.0,
#EXT-X-BYTERANGE:4@${700 + n * 4}
segments/8.mp4?profile=main
`;
const playlist = (from: number, to: number, ended: boolean): string =>
  `#EXTM3U\n#EXT-X-MAP:URI="segments/8.mp4?profile=main",BYTERANGE="3@0"\n${Array.from(
    { length: to - from },
    (_, n) => line(from + n),
  ).join('')}${ended ? '#EXT-X-ENDLIST\n' : ''}`;

let asked: string[];
let answer: () => string;
const { signal } = new AbortController();

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answer = () => playlist(0, 300, true);
  vi.stubGlobal('fetch', (path: string, { headers }: { headers?: { range?: string } } = {}) => {
    asked.push(`${path.replace(/^.*recordings\//, '').replace(/\?.*$/, '')} ${headers?.range ?? ''}`.trim());
    if (path.includes('playlist')) return Promise.resolve(new Response(answer()));
    const [, from = 0, to = 0] = /bytes=(\d+)-(\d+)/.exec(headers?.range ?? '') ?? [];
    return Promise.resolve(new Response(new Uint8Array(Number(to) - Number(from) + 1), { status: 206 }));
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('what is close is known already', async () => {
  const library = new Library('thu', 'cho', 'main');
  const [first, second] = [await library.pieceAt(BEGIN + 100), await library.pieceAt(BEGIN + 99_000)];
  expect(first?.start).toBe(BEGIN);
  expect(second?.start).toBe(BEGIN + 98_000);
  expect(asked).toEqual(['playlist.m3u8']);
  // Who looks back goes on looking back.
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toEqual(['playlist.m3u8', 'playlist.m3u8']);
});

test('what is being recorded is asked for anew, after a while', async () => {
  const library = new Library('thu', 'cho', 'main');
  answer = () => playlist(0, 3, false);
  expect(await library.pieceAt(BEGIN + 7000)).toBeNull();
  expect(await library.pieceAt(BEGIN + 7000)).toBeNull();
  expect(asked).toHaveLength(1);
  answer = () => playlist(0, 5, false);
  await vi.advanceTimersByTimeAsync(800);
  expect((await library.pieceAt(BEGIN + 7000))?.start).toBe(BEGIN + 6000);
});

test('bytes are those that were asked for, or none', async () => {
  const library = new Library('thu', 'cho', 'main');
  const piece = await library.pieceAt(BEGIN);
  if (!piece) throw new Error('there is one');
  expect(await library.bytes(piece, signal)).toHaveLength(4);
  expect(await library.init(piece, signal)).toHaveLength(3);
  expect(await library.init(piece, signal)).toHaveLength(3);
  expect(asked.slice(1)).toEqual(['segments/8.mp4 bytes=700-703', 'segments/8.mp4 bytes=0-2']);
  // A server that knows no ranges would send the whole file.
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(new Uint8Array(4), { status: 200 })));
  expect(await library.bytes(piece, signal)).toBeNull();
  vi.stubGlobal('fetch', () => Promise.reject(new Error('gone')));
  expect(await library.bytes(piece, signal)).toBeNull();
});
