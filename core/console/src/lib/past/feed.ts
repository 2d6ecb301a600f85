// What the browser's player is fed: one video element, one source buffer, one change after the other.
// Recordings say their times since 1970; the player's line begins at `BASE`.

/** The player's zero: an element's times are positive, and small enough to be exact. */
export const BASE = Math.floor(Date.now() / 86_400_000 - 1500) * 86_400_000;

export const toPlayer = (moment: number): number => (moment - BASE) / 1000;
export const fromPlayer = (seconds: number): number => seconds * 1000 + BASE;

export class Feed {
  #source = new MediaSource();
  #address = URL.createObjectURL(this.#source);
  #buffer: SourceBuffer | null = null;
  #type = '';
  #init: Uint8Array | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #open: Promise<void>;
  #closed = false;

  constructor(private readonly video: HTMLVideoElement) {
    this.#open = new Promise((resolve) => {
      this.#source.addEventListener('sourceopen', () => resolve(), { once: true });
    });
    video.src = this.#address;
  }

  static plays(type: string): boolean {
    return typeof MediaSource !== 'undefined' && MediaSource.isTypeSupported(type);
  }

  close(): void {
    this.#closed = true;
    this.video.removeAttribute('src');
    this.video.load();
    URL.revokeObjectURL(this.#address);
  }

  /** Whether the picture of a moment can be shown at once. */
  has(moment: number): boolean {
    return this.until(moment) !== null;
  }

  /** Until when there is something without a break, from a moment on. */
  until(moment: number): number | null {
    const { buffered } = this.video;
    const time = toPlayer(moment);
    for (let n = 0; n < buffered.length; n += 1) {
      if (buffered.start(n) <= time + 0.002 && time < buffered.end(n)) return fromPlayer(buffered.end(n));
    }
    return null;
  }

  /** The moment, or the closest one that can be shown at once: what is missing between two pieces is less
   * than `most`. */
  nearest(moment: number, most: number): number | null {
    const { buffered } = this.video;
    const time = toPlayer(moment);
    let best: number | null = null;
    for (let n = 0; n < buffered.length; n += 1) {
      const [start, end] = [buffered.start(n), buffered.end(n)];
      if (start <= time + 0.002 && time < end) return moment;
      // The last picture before it, or the first one after it.
      const close = time < start ? start + 0.001 : end - 0.01;
      if (best === null || Math.abs(close - time) < Math.abs(best - time)) best = close;
    }
    return best !== null && Math.abs(best - time) * 1000 <= most ? fromPlayer(best) : null;
  }

  /** Adds a piece. Whether that was possible. */
  append(type: string, init: Uint8Array, bytes: Uint8Array): Promise<boolean> {
    return this.#next(async () => {
      await this.#open;
      if (this.#closed) return;
      if (!this.#buffer) {
        this.#buffer = this.#source.addSourceBuffer(type);
        this.#buffer.mode = 'segments';
        this.#buffer.timestampOffset = -BASE / 1000;
      } else if (type !== this.#type) this.#buffer.changeType(type);
      this.#type = type;
      if (this.#init !== init) await this.#done((buffer) => buffer.appendBuffer(owned(init)));
      this.#init = init;
      await this.#done((buffer) => buffer.appendBuffer(owned(bytes)));
    });
  }

  /** Lets go of all that is not between two moments. */
  keep(from: number, to: number): Promise<boolean> {
    return this.#next(async () => {
      const { buffered } = this.video;
      if (buffered.length === 0 || !this.#buffer) return;
      const [first, last] = [buffered.start(0), buffered.end(buffered.length - 1)];
      const [start, end] = [toPlayer(from), toPlayer(to)];
      if (first < start - 1) await this.#done((buffer) => buffer.remove(0, start));
      if (last > end + 1) await this.#done((buffer) => buffer.remove(end, Infinity));
    });
  }

  /** Lets go of everything. */
  clear(): Promise<boolean> {
    return this.#next(async () => {
      if (this.#buffer) await this.#done((buffer) => buffer.remove(0, Infinity));
    });
  }

  #next(what: () => Promise<void>): Promise<boolean> {
    const turn = this.#turn.then(what).then(
      () => !this.#closed,
      () => false,
    );
    this.#turn = turn;
    return turn;
  }

  #done(change: (buffer: SourceBuffer) => void): Promise<void> {
    const buffer = this.#buffer;
    if (!buffer || this.#closed) return Promise.reject(new Error('closed'));
    return new Promise((resolve, reject) => {
      const ended = (happened: Event): void => {
        buffer.removeEventListener('updateend', ended);
        buffer.removeEventListener('error', ended);
        if (happened.type === 'error') reject(new Error('not taken'));
        else resolve();
      };
      buffer.addEventListener('updateend', ended);
      buffer.addEventListener('error', ended);
      try {
        change(buffer);
      } catch (error) {
        buffer.removeEventListener('updateend', ended);
        buffer.removeEventListener('error', ended);
        reject(error instanceof Error ? error : new Error('not taken'));
      }
    });
  }
}

/** As the browser's types want it: bytes of no shared memory. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
