// One stream's recordings as the router gives them: which pieces there are, and their bytes.

import { get } from '../ask';
import { parsePlaylist, pieceAt, type Bytes, type Piece } from './playlist';

/** Playlists are asked for by windows of this length, so that what is close is known already. */
const WINDOW = 10 * 60_000;
/** So many of them are remembered. */
const MOST_WINDOWS = 24;
/** What is being recorded is looked for anew after so long. */
const STALE = 700;
/** What is likely to be wanted next is asked for so much later. */
const SOON = 600;
/** A piece that takes longer does not come. */
const PIECE_MS = 20_000;

interface Window {
  pieces: Piece[];
  /** By the page's clock; nothing is added to what ended. */
  asked: number;
  ended: boolean;
}

export class Library {
  #windows = new Map<number, Window>();
  #inits = new Map<string, Uint8Array>();

  constructor(
    readonly commune: string,
    readonly camera: string,
    readonly profile: 'main' | 'sub',
  ) {}

  get #root(): string {
    return `/api/v1/communes/${this.commune}/cameras/${this.camera}/recordings/`;
  }

  /** The piece in which the picture of a moment is; nothing if there is none, or no answer. */
  async pieceAt(moment: number): Promise<Piece | null> {
    const number = Math.floor(moment / WINDOW);
    const known = this.#windows.get(number);
    const found = known && pieceAt(known.pieces, moment);
    // The newest may have grown, or gone on in the next one.
    const newest = known && !known.ended && found === known.pieces.at(-1);
    if (found && !newest) return found;
    if (known && (known.ended || performance.now() - known.asked < STALE)) return found ?? null;
    const pieces = await this.#ask(number);
    // Who looks back goes on looking back.
    if (pieces && !this.#windows.has(number - 1)) setTimeout(() => void this.#ask(number - 1), SOON);
    return (pieces && pieceAt(pieces, moment)) ?? found ?? null;
  }

  /** Asks for a window's pieces; nothing if there is no answer. */
  async #ask(number: number): Promise<Piece[] | null> {
    const asked = performance.now();
    const [from, to] = [number * WINDOW, (number + 1) * WINDOW].map((ms) => ms * 1000);
    const path = `${this.#root}playlist.m3u8?from=${from}&to=${to}&profile=${this.profile}`;
    const response = await get(path);
    const text = response?.ok ? await response.text().catch(() => null) : null;
    if (text === null) return null;
    const { pieces, ended } = parsePlaylist(text);
    this.#windows.delete(number);
    this.#windows.set(number, { pieces, ended, asked });
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > MOST_WINDOWS && oldest !== undefined) this.#windows.delete(oldest);
    return pieces;
  }

  /** What a player wants to know before a piece. */
  async init(piece: Piece, signal: AbortSignal): Promise<Uint8Array | null> {
    const key = `${piece.init.file} ${piece.init.bytes}`;
    const known = this.#inits.get(key);
    if (known) return known;
    const bytes = await this.#fetch(piece.init, signal);
    if (bytes) this.#inits.set(key, bytes);
    return bytes;
  }

  async bytes(piece: Piece, signal: AbortSignal): Promise<Uint8Array | null> {
    return this.#fetch(piece, signal);
  }

  async #fetch({ file, offset, bytes }: Bytes, signal: AbortSignal): Promise<Uint8Array | null> {
    const headers = { range: `bytes=${offset}-${offset + bytes - 1}` };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PIECE_MS)]);
    try {
      const response = await fetch(this.#root + file, { headers, signal: limit });
      if (response.status !== 206) return null;
      const all = new Uint8Array(await response.arrayBuffer());
      return all.length === bytes ? all : null;
    } catch {
      return null;
    }
  }
}
