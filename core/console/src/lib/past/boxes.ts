// What a player has to know of fragmented MP4 (ISO/IEC 14496-12): how it is encoded, and when each picture
// is. Recordings say their times since 1970, so that no other clock is needed. Pure; damaged bytes give less,
// never an error.

export interface Track {
  id: number;
  /** Ticks a second. */
  timescale: number;
  video: boolean;
  /** As RFC 6381 says it. */
  codec: string;
}

interface Box {
  kind: string;
  /** Of its content. */
  from: number;
  to: number;
}

const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl', 'moof', 'traf']);

function* boxes(view: DataView, from: number, to: number): Generator<Box> {
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let header = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(view.getBigUint64(at + 8));
      header = 16;
    } else if (size === 0) size = to - at;
    if (size < header || at + size > to) return;
    yield { kind: name(view, at + 4), from: at + header, to: at + size };
    at += size;
  }
}

function name(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((n) => view.getUint8(at + n)));
}

/** All boxes of a kind, however deep. */
function* all(view: DataView, from: number, to: number, kind: string): Generator<Box> {
  for (const box of boxes(view, from, to)) {
    if (box.kind === kind) yield box;
    if (CONTAINERS.has(box.kind)) yield* all(view, box.from, box.to, kind);
  }
}

function first(view: DataView, { from, to }: Box, kind: string): Box | undefined {
  for (const box of all(view, from, to, kind)) return box;
  return undefined;
}

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

/** How many bytes of a sample entry come before its own boxes. */
const VISUAL = 78;
const SOUND = 28;

function codecOf(view: DataView, stsd: Box): { codec: string; video: boolean } | null {
  const [entry] = boxes(view, stsd.from + 8, stsd.to);
  if (!entry) return null;
  const { kind } = entry;
  const inner = (skip: number): Box[] => [...boxes(view, entry.from + skip, entry.to)];
  const avc = inner(VISUAL).find((box) => box.kind === 'avcC');
  if (avc && (kind === 'avc1' || kind === 'avc3')) {
    const [profile, compatible, level] = [1, 2, 3].map((n) => hex(view.getUint8(avc.from + n)));
    return { codec: `${kind}.${profile}${compatible}${level}`, video: true };
  }
  const hevc = inner(VISUAL).find((box) => box.kind === 'hvcC');
  if (hevc) return { codec: hevcOf(view, kind, hevc), video: true };
  if (kind === 'mp4a') return { codec: 'mp4a.40.2', video: false };
  if (kind === 'Opus') return { codec: 'opus', video: false };
  const video = inner(VISUAL).length > inner(SOUND).length;
  return { codec: kind, video };
}

function hevcOf(view: DataView, kind: string, { from }: Box): string {
  const head = view.getUint8(from + 1);
  const space = ['', 'A', 'B', 'C'][head >> 6] ?? '';
  let flags = 0;
  const given = view.getUint32(from + 2);
  for (let bit = 0; bit < 32; bit += 1) if (given & (1 << bit)) flags |= 1 << (31 - bit);
  const tier = head & 0x20 ? 'H' : 'L';
  const constraints = [6, 7, 8, 9, 10, 11].map((n) => view.getUint8(from + n));
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const parts = [
    kind,
    `${space}${head & 0x1f}`,
    (flags >>> 0).toString(16).toUpperCase(),
    `${tier}${view.getUint8(from + 12)}`,
    ...constraints.map((byte) => byte.toString(16).toUpperCase()),
  ];
  return parts.join('.');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The tracks of an initialization segment. */
export function tracksOf(bytes: Uint8Array): Track[] {
  const tracks: Track[] = [];
  try {
    const view = viewOf(bytes);
    for (const trak of all(view, 0, bytes.length, 'trak')) {
      const [tkhd, mdhd, stsd] = ['tkhd', 'mdhd', 'stsd'].map((kind) => first(view, trak, kind));
      const found = stsd && codecOf(view, stsd);
      if (!tkhd || !mdhd || !found) continue;
      const id = view.getUint32(tkhd.from + (view.getUint8(tkhd.from) === 1 ? 20 : 12));
      const timescale = view.getUint32(mdhd.from + (view.getUint8(mdhd.from) === 1 ? 20 : 12));
      tracks.push({ id, timescale, ...found });
    }
  } catch (error) {
    // Bytes were missing.
    if (!(error instanceof RangeError)) throw error;
  }
  return tracks;
}

/** The type of an initialization segment, as a browser is asked about it. */
export function typeOf(tracks: readonly Track[]): string {
  return `video/mp4; codecs="${tracks.map(({ codec }) => codec).join(',')}"`;
}

/** When each picture of a piece is shown, in ms since 1970, in order. */
export function picturesOf(bytes: Uint8Array, tracks: readonly Track[]): number[] {
  const times: number[] = [];
  try {
    const view = viewOf(bytes);
    for (const traf of all(view, 0, bytes.length, 'traf')) picturesOfRun(view, traf, tracks, times);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return times.sort((a, b) => a - b);
}

/** Of one run: a piece lasts some seconds. */
const MOST_PICTURES = 20_000;

function picturesOfRun(view: DataView, traf: Box, tracks: readonly Track[], times: number[]): void {
  const [tfhd, tfdt] = ['tfhd', 'tfdt'].map((kind) => first(view, traf, kind));
  if (!tfhd || !tfdt) return;
  const track = tracks.find(({ id }) => id === view.getUint32(tfhd.from + 4));
  if (!track?.video || track.timescale === 0) return;
  const given = view.getUint32(tfhd.from) & 0xffffff;
  let at = tfhd.from + 8;
  if (given & 0x1) at += 8;
  if (given & 0x2) at += 4;
  const usual = given & 0x8 ? view.getUint32(at) : 0;
  const base =
    view.getUint8(tfdt.from) === 1 ? view.getBigUint64(tfdt.from + 4) : BigInt(view.getUint32(tfdt.from + 4));
  let ticks = Number(base);
  for (const trun of all(view, traf.from, traf.to, 'trun')) {
    const flags = view.getUint32(trun.from) & 0xffffff;
    const count = Math.min(MOST_PICTURES, view.getUint32(trun.from + 4));
    let row = trun.from + 8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
    for (let n = 0; n < count; n += 1) {
      const length = flags & 0x100 ? view.getUint32(row) : usual;
      row += (flags & 0x100 ? 4 : 0) + (flags & 0x200 ? 4 : 0) + (flags & 0x400 ? 4 : 0);
      const later = flags & 0x800 ? view.getInt32(row) : 0;
      row += flags & 0x800 ? 4 : 0;
      times.push(((ticks + later) / track.timescale) * 1000);
      ticks += length;
      // What is not there has no pictures.
      if (row > trun.to) return;
    }
  }
}

/** The picture that is shown at a moment, of pictures in order. */
export function pictureAt(times: readonly number[], moment: number): number | undefined {
  return times.findLast((time) => time <= moment + 0.5);
}

/** The picture before or after the one that is shown at a moment. */
export function neighbour(times: readonly number[], moment: number, by: 1 | -1): number | undefined {
  const shown = pictureAt(times, moment);
  if (shown === undefined) return by > 0 ? times.find((time) => time > moment) : undefined;
  return by > 0 ? times.find((time) => time > shown + 0.5) : times.findLast((time) => time < shown - 0.5);
}
