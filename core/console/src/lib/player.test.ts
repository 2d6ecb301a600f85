import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Player } from './player.svelte';
import type { Told } from './playing';
import type { Wishes } from './whep';

// What the machine in `playing.ts` wants is done: its viewers, its timers and its questions.

class Viewer {
  static all: Viewer[] = [];
  static refusal: Error | null = null;
  readonly stream = {};
  readonly timing = { connected: 5, picture: 9 };
  readonly connection = null;
  number: string | null = null;
  closed = false;

  left = false;

  constructor(
    readonly endpoint: string,
    readonly wishes: Wishes,
  ) {
    Viewer.all.push(this);
  }

  lost(cause: string): void {
    this.wishes.lost(cause);
  }

  leave(): void {
    this.left = true;
    this.close();
  }

  open(): Promise<void> {
    if (Viewer.refusal) return Promise.reject(Viewer.refusal);
    this.number = String(Viewer.all.length);
    return Promise.resolve();
  }

  pictured(): void {
    return;
  }

  close(): void {
    this.closed = true;
  }
}

class Refusal extends Error {
  constructor(readonly refused: { cause: string }) {
    super();
  }
}

vi.mock('./whep', () => ({
  get Viewer() {
    return Viewer;
  },
  get Refusal() {
    return Refusal;
  },
}));

interface Held {
  seen?: (seen: boolean) => void;
  woke?: () => void;
  left?: () => void;
  back?: () => void;
}
const sight = vi.hoisted(() => ({ seen: true, held: [] as Held[] }));
vi.mock('./sight', () => ({
  sight: {
    get seen() {
      return sight.seen;
    },
    listen: (one: Held) => {
      sight.held.push(one);
      return () => {
        sight.held = sight.held.filter((other) => other !== one);
      };
    },
  },
}));

class Video extends EventTarget {
  srcObject: unknown = null;
  paused = true;
  muted = true;
  refuses = false;
  private rtp = 0;
  private wanted: VideoFrameRequestCallback[] = [];

  requestVideoFrameCallback(shown: VideoFrameRequestCallback): void {
    this.wanted.push(shown);
  }

  play(): Promise<void> {
    if (this.refuses) return Promise.reject(new DOMException('press first', 'NotAllowedError'));
    this.paused = false;
    return Promise.resolve();
  }

  /** Shows a picture that was taken so many milliseconds after the one before. */
  show(after = 40): void {
    const wanted = this.wanted;
    this.wanted = [];
    this.rtp += after * 90;
    for (const one of wanted) one(0, { rtpTimestamp: this.rtp } as VideoFrameCallbackMetadata);
  }

  /** Shows so many pictures as they are taken. */
  async play25(pictures: number): Promise<void> {
    for (let i = 0; i < pictures; i += 1) {
      await vi.advanceTimersByTimeAsync(40);
      this.show();
    }
  }
}

let player: Player;
let video: Video;
let detach: () => void;
let sessions: () => Response;
let asked: string[] = [];

const open = (): Viewer[] => Viewer.all.filter((viewer) => !viewer.closed);
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const told = (state: Told['state'], reachable = true): void =>
  player.told({ state, reachable, pictureAge: null, every: 40 });
const said = (): [string, string | null] => [player.label, player.said.cause];

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  Viewer.all = [];
  sight.seen = true;
  sight.held = [];
  vi.stubGlobal('window', new EventTarget());
  Viewer.refusal = null;
  asked = [];
  sessions = () => new Response('{}', { status: 404 });
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url);
    return Promise.resolve(sessions());
  });
  player = new Player();
  video = new Video();
  detach = player.attach(video as unknown as HTMLVideoElement, '/thu/cho/whep?profile=main');
  told('live');
  await pass(0);
  video.show();
  await video.play25(1);
});
afterEach(() => {
  detach();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('a picture: shown, standing still, gone with its element', async () => {
  expect(said()).toEqual(['live', null]);
  expect([player.connected, player.picture]).toEqual([5, 9]);
  expect(video.srcObject).toBe(Viewer.all[0]?.stream);
  await pass(800);
  expect(player.label).toBe('live');
  // To the millisecond, and not when it is looked the next time.
  await pass(1);
  expect(player.said).toEqual({ label: 'aged', cause: null, seconds: 1 });
  await pass(1000);
  expect(player.label).toBe('stalled');
  detach();
  expect(open()).toEqual([]);
  expect(video.srcObject).toBeNull();
  await pass(60_000);
  expect(Viewer.all).toHaveLength(1);
});

test('a lost connection is followed by another one, a refused one by later ones', async () => {
  Viewer.refusal = new Refusal({ cause: 'full' });
  Viewer.all[0]?.lost('lost');
  expect(said()).toEqual(['offline', 'lost']);
  await pass(1000);
  expect(Viewer.all).toHaveLength(2);
  expect(player.said.cause).toBe('full');
  await pass(900);
  expect(Viewer.all).toHaveLength(2);
  await pass(1200);
  expect(Viewer.all).toHaveLength(3);
  Viewer.refusal = null;
  await pass(4000);
  expect(player.label).toBe('offline');
  video.show();
  await video.play25(1);
  expect(said()).toEqual(['live', null]);
  expect(open()).toHaveLength(1);
});

test('after a crash of the router another session is begun as soon as it answers', async () => {
  await pass(2000);
  asked = [];
  told('live', false);
  expect(said()).toEqual(['stalled', 'router']);
  expect(asked).toEqual([]);
  told('live');
  await pass(0);
  expect(asked).toEqual(['/api/v1/sessions/1']);
  expect(Viewer.all).toHaveLength(2);
  expect(open()).toHaveLength(1);
  expect(player.label).toBe('stalled');
  video.show();
  expect(player.label).toBe('catching');
  await video.play25(1);
  expect(player.label).toBe('live');
});

test('a session that the router knows is kept, one that is another viewer’s is not', async () => {
  const session = (camera: string) => () => new Response(JSON.stringify({ commune: 'thu', camera }));
  sessions = session('cho');
  await pass(2000);
  told('live');
  await pass(0);
  expect(Viewer.all).toHaveLength(1);
  // A router that fails to say does not say that it is gone.
  sessions = () => new Response('', { status: 500 });
  told('live');
  await pass(0);
  expect(Viewer.all).toHaveLength(1);
  sessions = session('cau');
  told('live');
  await pass(0);
  expect(Viewer.all).toHaveLength(2);
});

test('what the browser says of the way reaches the machine', async () => {
  sessions = () => new Response(JSON.stringify({ commune: 'thu', camera: 'cho' }));
  await pass(2000);
  Viewer.all[0]?.wishes.silent(true);
  asked = [];
  told('live');
  await pass(0);
  expect(Viewer.all).toHaveLength(2);
  expect(asked).toEqual([]);
});

test('a picture that is shown again is not another one', async () => {
  for (let i = 0; i < 5; i += 1) {
    await pass(300);
    video.show(0);
  }
  expect(player.label).toBe('aged');
});

test('what a browser refuses to play is not live, until somebody presses', async () => {
  video.refuses = true;
  video.paused = true;
  video.dispatchEvent(new Event('pause'));
  await pass(0);
  expect(player.label).toBe('paused');
  await video.play25(5);
  expect(player.label).toBe('paused');
  await pass(20_000);
  expect(player.label).toBe('paused');
  video.refuses = false;
  player.press();
  await pass(0);
  expect(player.label).toBe('connecting');
  video.show(20_000);
  expect(player.label).toBe('live');
});

test('out of sight nothing is live, and back again a new picture is wanted first', async () => {
  sight.seen = false;
  for (const one of sight.held) one.seen?.(false);
  expect(player.label).toBe('hidden');
  await pass(60_000);
  told('live');
  expect(player.label).toBe('hidden');
  expect(asked.filter((url) => !url.endsWith('/1'))).toEqual([]);
  sight.seen = true;
  for (const one of sight.held) one.seen?.(true);
  expect(player.label).toBe('connecting');
  video.show(60_000);
  expect(player.label).toBe('live');
  expect(Viewer.all).toHaveLength(1);
});

test('after sleep the session is asked for at once, and another one is begun', async () => {
  for (const one of sight.held) one.woke?.();
  expect(said()).toEqual(['stalled', 'stalled']);
  await pass(0);
  expect(asked).toContain('/api/v1/sessions/1');
  expect(Viewer.all).toHaveLength(2);
});

test('a page that is left says goodbye without waiting, and begins anew if it is back', async () => {
  for (const one of sight.held) one.left?.();
  expect(Viewer.all.map(({ left }) => left)).toEqual([true]);
  expect(player.label).not.toBe('live');
  for (const one of sight.held) one.back?.();
  await pass(0);
  expect(Viewer.all).toHaveLength(2);
  expect(open()).toHaveLength(1);
  video.show();
  await video.play25(1);
  expect(player.label).toBe('live');
});

test('the router’s word up to where it has sent makes a picture as old as it is', async () => {
  // It was at 80 ms of the pictures' time; the router is five seconds further.
  sessions = () =>
    new Response(
      JSON.stringify({ commune: 'thu', camera: 'cho', clock: { rtp: 5080 * 90, at: 1_000_000_000_000_000 } }),
    );
  for (let i = 0; i < 4; i += 1) await video.play25(25);
  expect(player.label).toBe('aged');
  expect(player.said.seconds).toBeGreaterThanOrEqual(2);
  expect(player.shownAt).not.toBeNull();
});
