// One camera's recordings in one picture element: fetches what the clock wants to see, and keeps the picture
// where the clock is. The clock is not here.

import { neighbour, picturesOf, tracksOf, typeOf } from './boxes';
import { steer } from './clock';
import { Feed, fromPlayer, toPlayer } from './feed';
import { Library } from './library';
import type { Piece } from './playlist';

/** What is to be seen. */
export interface Aim {
  moment: number;
  speed: number;
  playing: boolean;
  profile: 'main' | 'sub';
}

/** `unplayable` is that this browser does not decode it. */
export type ReelState = 'loading' | 'shown' | 'unplayable' | 'failed';

interface Fetching {
  piece: Piece | null;
  abort: AbortController;
  /** It is for later. */
  ahead: boolean;
}

/** It may have become so while something was waited for. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;

/** So much is fetched ahead, in ms of real time. */
const AHEAD = 6000;
/** So much stays before and after the moment, in ms. */
const KEPT = 45_000;
/** Pieces may be apart by the network's jitter: the router counts that as recorded. */
const JITTER = 400;
/** What is not there may be about to be written: it is looked for again after so long. */
const NOT_YET = 400;
/** What failed is tried again after so long. */
const AGAIN = 1500;
/** What was given and is not there was not taken, and will not be the next moment, in ms. */
const GIVEN = 10_000;
/** A picture that is so far from the moment is said to be late. */
const LATE = 2500;

export class Reel {
  state = $state<ReelState>('loading');
  /** What it is encoded as, where it can not be played. */
  codec = $state('');
  /** The picture on screen is of quite another moment. */
  late = $state(false);
  /** The moment of the picture on screen. */
  shown: number | null = null;
  /** Where there is nothing to fetch, nobody waits for it. */
  wanted = true;

  #library: Library;
  #aim: Aim | null = null;
  #video: HTMLVideoElement | null = null;
  #feed: Feed | null = null;
  #fetching: Fetching | null = null;
  /** What came last and is not shown yet, while the moment is somewhere else already. */
  #passing: number | null = null;
  #pictures: number[] = [];
  #given: { key: string; at: number; start: number; end: number } | null = null;
  /** What could not be had, and when that was. */
  #failed: { moment: number; again: number } | null = null;
  #lateSince = 0;

  constructor(
    readonly commune: string,
    readonly camera: string,
  ) {
    this.#library = new Library(commune, camera, 'main');
  }

  attach = (video: HTMLVideoElement): (() => void) => {
    this.#video = video;
    const feed = new Feed(video);
    this.#feed = feed;
    // For tests, as is the moment of what is shown.
    video.dataset.base = String(fromPlayer(0));
    let frame = 0;
    const showed = (_now: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
      this.shown = fromPlayer(mediaTime);
      video.dataset.shown = this.shown.toFixed(1);
      this.state = 'shown';
      frame = video.requestVideoFrameCallback(showed);
    };
    frame = video.requestVideoFrameCallback(showed);
    return () => {
      video.cancelVideoFrameCallback(frame);
      this.#fetching?.abort.abort();
      this.#fetching = null;
      feed.close();
      this.#feed = null;
      this.#video = null;
      this.shown = null;
    };
  };

  /** Whether the clock can go on as far as this picture is concerned. */
  get ready(): boolean {
    const [video, aim] = [this.#video, this.#aim];
    if (!video || !aim || !this.wanted || this.state === 'unplayable') return true;
    if (video.seeking || video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return false;
    return this.#feed?.has(aim.moment) ?? true;
  }

  /** The moment of the picture before or after the one of a moment. */
  beside(moment: number, by: 1 | -1): number | null {
    const found = neighbour(this.#pictures, moment, by);
    // What is far away is no neighbour: something was not fetched.
    return found !== undefined && Math.abs(found - moment) < 3000 ? found : null;
  }

  /** Called again and again with what is to be seen. */
  aim(aim: Aim): void {
    const [video, feed] = [this.#video, this.#feed];
    this.#aim = aim;
    if (!video || !feed) return;
    if (aim.profile !== this.#library.profile) this.#change(feed, aim.profile);
    this.#notice(aim);
    if (!this.wanted) {
      if (!video.paused) video.pause();
      return;
    }
    this.#fetch(feed, aim);
    this.#place(video, feed, aim);
  }

  #change(feed: Feed, profile: 'main' | 'sub'): void {
    this.#library = new Library(this.commune, this.camera, profile);
    this.#fetching?.abort.abort();
    this.#fetching = null;
    this.#pictures = [];
    this.#given = null;
    this.state = 'loading';
    void feed.clear();
  }

  #notice({ moment, speed }: Aim): void {
    const now = performance.now();
    const far = this.shown === null || Math.abs(this.shown - moment) > LATE * Math.max(1, speed);
    if (!far) this.#lateSince = now;
    this.late = far && now - this.#lateSince > 600;
  }

  #place(video: HTMLVideoElement, feed: Feed, { moment, speed, playing }: Aim): void {
    const place = this.#nearest(feed, moment);
    // What a seek waits for may never come, where it leads to nothing.
    const seeks = video.seeking && feed.has(fromPlayer(video.currentTime));
    if (place === null) {
      if (!video.paused) video.pause();
      // Whoever drags along the line sees on the way what has come.
      const passing = this.#passing === null ? null : feed.nearest(this.#passing, JITTER);
      if (passing !== null && !seeks) video.currentTime = toPlayer(passing);
      this.#passing = null;
      return;
    }
    this.#passing = null;
    if (!playing) {
      if (!video.paused) video.pause();
      // Half a millisecond more: a time is rounded, and the picture before it is another one.
      const time = toPlayer(place) + 0.0005;
      if (!seeks && Math.abs(video.currentTime - time) > 0.0008) video.currentTime = time;
      return;
    }
    if (seeks) return;
    const steered = steer(place, fromPlayer(video.currentTime), speed);
    if (steered.seek || place !== moment) {
      if (Math.abs(toPlayer(place) - video.currentTime) > 0.001) video.currentTime = toPlayer(place);
    } else if (Math.abs(video.playbackRate - steered.rate) > 0.002 * speed) {
      video.playbackRate = Math.min(16, Math.max(0.0625, steered.rate));
    }
    if (video.paused) void video.play().catch(() => undefined);
  }

  /** The moment, or what can be shown for it. After a loss browsers leave out all up to the next key frame. */
  #nearest(feed: Feed, moment: number): number | null {
    const place = feed.nearest(moment, JITTER);
    const given = this.#given;
    if (place !== null || !given || moment < given.start || moment > given.end) return place;
    return feed.nearest(moment, given.end - given.start);
  }

  #fetch(feed: Feed, { moment, speed, playing }: Aim): void {
    const until = feed.until(moment);
    const enough = playing ? AHEAD * Math.max(1, speed) : 0;
    if (until !== null && until - moment > enough) return;
    const now = performance.now();
    const missing = until ?? moment;
    if (this.#fetching) {
      // What is for later waits for what is wanted now. What was wanted a moment ago comes all the same.
      if (until !== null || !this.#fetching.ahead) return;
      this.#fetching.abort.abort();
    } else if (this.#failed && now < this.#failed.again) {
      if (Math.abs(this.#failed.moment - missing) < AGAIN) return;
    }
    const abort = new AbortController();
    const fetching: Fetching = { piece: null, abort, ahead: until !== null };
    this.#fetching = fetching;
    const done = this.#get(feed, missing + (until === null ? 0 : 2), fetching, this.#library);
    void done.then((came) => {
      if (this.#fetching !== fetching) return;
      this.#fetching = null;
      const wait = came === 'none' ? NOT_YET : AGAIN;
      this.#failed = came === 'fine' ? null : { moment: missing, again: performance.now() + wait };
    });
  }

  /** Fetches what has the picture of a moment. */
  async #get(
    feed: Feed,
    moment: number,
    fetching: Fetching,
    library: Library,
  ): Promise<'fine' | 'none' | 'failed'> {
    const piece = await library.pieceAt(moment);
    const { signal } = fetching.abort;
    if (signal.aborted || !piece) return 'none';
    fetching.piece = piece;
    const key = `${piece.file} ${piece.offset} ${piece.bytes}`;
    // It is there already: what is missing is less than a picture.
    if (this.#given?.key === key && performance.now() - this.#given.at < GIVEN) return 'failed';
    const [init, bytes] = await Promise.all([library.init(piece, signal), library.bytes(piece, signal)]);
    if (isAborted(signal)) return 'failed';
    if (!init || !bytes) {
      if (this.state === 'loading') this.state = 'failed';
      return 'failed';
    }
    const tracks = tracksOf(init);
    const type = typeOf(tracks);
    if (!Feed.plays(type)) {
      this.codec = tracks.find(({ video }) => video)?.codec ?? '';
      this.state = 'unplayable';
      return 'failed';
    }
    if (this.state !== 'shown') this.state = 'loading';
    const around = this.#aim?.moment ?? moment;
    this.#remember(picturesOf(bytes, tracks), around);
    const fine = await feed.append(type, init, bytes);
    this.#given = { key, at: performance.now(), start: piece.start, end: piece.end };
    if (fine && !fetching.ahead) this.#passing = Math.min(Math.max(moment, piece.start + 1), piece.end - 1);
    void feed.keep(around - KEPT, around + KEPT * Math.max(1, (this.#aim?.speed ?? 1) / 4));
    return fine ? 'fine' : 'failed';
  }

  #remember(news: number[], around: number): void {
    const close = [...this.#pictures, ...news].filter((time) => Math.abs(time - around) < 2 * KEPT);
    close.sort((a, b) => a - b);
    this.#pictures = close.filter((time, n) => n === 0 || time - (close[n - 1] ?? 0) > 0.5);
  }
}
