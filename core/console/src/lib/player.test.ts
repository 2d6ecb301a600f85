import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Player } from './player.svelte';
import type { Told } from './playing';

// What the machine in `playing.ts` wants is done: its viewers, its timers and its questions.

class Viewer {
  static all: Viewer[] = [];
  static refusal: Error | null = null;
  readonly stream = {};
  readonly timing = { connected: 5, picture: 9 };
  readonly connection = null;
  number: string | null = null;
  closed = false;

  constructor(
    readonly endpoint: string,
    readonly lost: (cause: string) => void,
    readonly silent: (silent: boolean) => void,
  ) {
    Viewer.all.push(this);
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

class Video {
  srcObject: unknown = null;
  private wanted: VideoFrameRequestCallback[] = [];

  requestVideoFrameCallback(shown: VideoFrameRequestCallback): void {
    this.wanted.push(shown);
  }

  play(): Promise<void> {
    return Promise.resolve();
  }

  show(): void {
    const wanted = this.wanted;
    this.wanted = [];
    for (const one of wanted) one(0, {} as VideoFrameCallbackMetadata);
  }
}

let player: Player;
let video: Video;
let detach: () => void;
let sessions: () => Response;
let asked: string[] = [];

const open = (): Viewer[] => Viewer.all.filter((viewer) => !viewer.closed);
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const told = (state: Told['state'], reachable = true): void => player.told({ state, reachable });

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  Viewer.all = [];
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
});
afterEach(() => {
  detach();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('a picture: shown, standing still, gone with its element', async () => {
  expect(player.state).toBe('live');
  expect([player.connected, player.picture]).toEqual([5, 9]);
  expect(video.srcObject).toBe(Viewer.all[0]?.stream);
  await pass(1400);
  expect(player.state).toBe('live');
  await pass(400);
  expect(player.state).toBe('stalled');
  detach();
  expect(open()).toEqual([]);
  expect(video.srcObject).toBeNull();
  await pass(60_000);
  expect(Viewer.all).toHaveLength(1);
});

test('a lost connection is followed by another one, a refused one by later ones', async () => {
  Viewer.refusal = new Refusal({ cause: 'full' });
  Viewer.all[0]?.lost('lost');
  expect([player.state, player.cause]).toEqual(['offline', 'lost']);
  await pass(1000);
  expect(Viewer.all).toHaveLength(2);
  expect(player.cause).toBe('full');
  await pass(900);
  expect(Viewer.all).toHaveLength(2);
  await pass(1200);
  expect(Viewer.all).toHaveLength(3);
  Viewer.refusal = null;
  await pass(4000);
  expect(player.state).toBe('offline');
  video.show();
  expect([player.state, player.cause]).toEqual(['live', null]);
  expect(open()).toHaveLength(1);
});

test('after a crash of the router another session is begun as soon as it answers', async () => {
  await pass(2000);
  told('live', false);
  expect([player.state, player.cause]).toEqual(['stalled', 'router']);
  expect(asked).toEqual([]);
  told('live');
  await pass(0);
  expect(asked).toEqual(['/api/v1/sessions/1']);
  expect(Viewer.all).toHaveLength(2);
  expect(open()).toHaveLength(1);
  expect(player.state).toBe('stalled');
  video.show();
  expect(player.state).toBe('live');
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
  Viewer.all[0]?.silent(true);
  told('live');
  expect(Viewer.all).toHaveLength(2);
  expect(asked).toEqual([]);
});
