// A playlist of the router's (RFC 8216bis) as pieces that are fetched one by one. Pure.

/** Bytes of a file. */
export interface Bytes {
  /** Relative to the playlist. */
  file: string;
  offset: number;
  bytes: number;
}

/** What is fetched at once: it begins with a key frame. */
export interface Piece extends Bytes {
  /** In ms since 1970. */
  start: number;
  end: number;
  /** What a player wants to know before it. */
  init: Bytes;
}

export interface Playlist {
  pieces: Piece[];
  /** Nothing is added to it. */
  ended: boolean;
}

const RANGE = /^(\d+)(?:@(\d+))?$/;

function attribute(text: string, name: string): string | null {
  return new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(text)?.[1] ?? null;
}

export function parsePlaylist(text: string): Playlist {
  const pieces: Piece[] = [];
  let ended = false;
  let init: Bytes | null = null;
  let start: number | null = null;
  let length = 0;
  let range: { offset: number; bytes: number } | null = null;
  for (const line of text.split('\n')) {
    const [, tag = '', value = ''] = /^#([A-Z0-9-]+):?(.*)$/.exec(line) ?? [];
    if (tag === 'EXT-X-ENDLIST') ended = true;
    else if (tag === 'EXT-X-MAP') {
      const file = attribute(value, 'URI');
      const [, bytes, offset] = RANGE.exec(attribute(value, 'BYTERANGE') ?? '') ?? [];
      init = file && bytes ? { file, bytes: Number(bytes), offset: Number(offset ?? 0) } : null;
    } else if (tag === 'EXT-X-PROGRAM-DATE-TIME') start = Date.parse(value);
    else if (tag === 'EXTINF') length = Number.parseFloat(value) * 1000;
    else if (tag === 'EXT-X-BYTERANGE') {
      const [, bytes, offset] = RANGE.exec(value) ?? [];
      range = bytes ? { bytes: Number(bytes), offset: Number(offset ?? 0) } : null;
    } else if (line !== '' && !line.startsWith('#')) {
      if (init && range && start !== null && Number.isFinite(start) && length > 0) {
        pieces.push({ file: line, ...range, start, end: start + length, init });
      }
      range = null;
      start = null;
    }
  }
  return { pieces, ended };
}

/** The piece in which the picture of a moment is. */
export function pieceAt(pieces: readonly Piece[], moment: number): Piece | undefined {
  // The playlist gives milliseconds only.
  const found = pieces.findLast(({ start }) => start <= moment + 1);
  return found && moment < found.end + 1 ? found : undefined;
}
