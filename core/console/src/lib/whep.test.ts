import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Refusal, Viewer } from './whep';

// The browser's part is played here: a connection that does what it is told, and a router that is asked.

const events: string[] = [];

class Connection {
  static last: Connection;
  connectionState = 'new';
  localDescription: { sdp: string } | null = null;
  onconnectionstatechange: (() => void) | null = null;
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null;
  ontrack: unknown = null;
  readonly receivers = ['video', 'audio'].map((kind) => ({
    track: { kind },
    jitterBufferTarget: null as number | null,
  }));

  constructor(public configuration: RTCConfiguration) {
    Connection.last = this;
  }

  addTransceiver(kind: string): void {
    events.push(`transceiver ${kind}`);
  }

  createOffer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve({ type: 'offer', sdp: 'offer' });
  }

  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }

  setConfiguration(configuration: RTCConfiguration): void {
    this.configuration = configuration;
    events.push('servers');
  }

  setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    events.push(`local ${description.sdp}`);
    return Promise.resolve();
  }

  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    events.push(`remote ${sdp}`);
    return Promise.resolve();
  }

  getReceivers(): unknown[] {
    return this.receivers;
  }

  close(): void {
    events.push('connection closed');
  }

  becomes(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  candidate(text: string): void {
    const address = text.split(' ')[1] ?? null;
    this.onicecandidate?.({ candidate: { candidate: text, sdpMid: '0', address } });
  }
}

/** How long the router takes to say that it ended a session. */
const ANSWERED_MS = 50;
const HEADERS = { location: '/thu/cho/whep/token', etag: '"tag"', 'taimat-session': '7' };
const created = (): Response => new Response('answer', { status: 201, headers: HEADERS });
/** What the router answers to the offer. */
let answer: () => Promise<Response> = () => Promise.resolve(created());
const requests: { method: string; url: string; body: unknown; headers: Headers }[] = [];

let lost: string[] = [];
let silences: boolean[] = [];
const viewer = (): Viewer =>
  new Viewer('/thu/cho/whep?profile=main', {
    sound: true,
    lost: (cause) => lost.push(cause),
    silent: (silent) => silences.push(silent),
  });
/** Lets go on what waits for nothing but its turn. */
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  events.length = 0;
  requests.length = 0;
  lost = [];
  silences = [];
  answer = () => Promise.resolve(created());
  vi.stubGlobal('RTCPeerConnection', Connection);
  vi.stubGlobal('MediaStream', Object);
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const method = init.method ?? 'GET';
    requests.push({ method, url, body: init.body, headers: new Headers(init.headers) });
    events.push(method);
    if (method === 'POST') return answer();
    return new Promise((done) => setTimeout(() => done(new Response(null)), ANSWERED_MS));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('an offer, its answer, and the times until the connection and the picture', async () => {
  const one = viewer();
  await one.open();
  expect(events).toEqual(['transceiver video', 'transceiver audio', 'POST', 'local offer', 'remote answer']);
  expect(requests[0]).toMatchObject({ url: '/thu/cho/whep?profile=main', body: 'offer' });
  expect(requests[0]?.headers.get('content-type')).toBe('application/sdp');
  expect(one.number).toBe('7');
  await vi.advanceTimersByTimeAsync(300);
  Connection.last.becomes('connected');
  await vi.advanceTimersByTimeAsync(200);
  one.pictured();
  await vi.advanceTimersByTimeAsync(200);
  one.pictured();
  expect(one.timing).toEqual({ connected: 300, picture: 500 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lost).toEqual([]);
});

test.each([
  [404, {}, 'gone'],
  [406, {}, 'codec'],
  [409, { cause: 'unauthorized' }, 'unauthorized'],
  [409, {}, 'starting'],
  [503, {}, 'full'],
  [500, {}, 'other'],
])('a refusal with %i %j is said as %s', async (status, problem, cause) => {
  answer = () => Promise.resolve(new Response(JSON.stringify(problem), { status }));
  const error: unknown = await viewer()
    .open()
    .catch((refusal: unknown) => refusal);
  expect(error).toBeInstanceOf(Refusal);
  expect((error as Refusal).refused.cause).toBe(cause);
});

test('a refusal without words, and a router that does not answer', async () => {
  const refusal = async (): Promise<unknown> =>
    viewer()
      .open()
      .catch((error: unknown) => (error as Refusal).refused);
  answer = () => Promise.resolve(new Response('<html>', { status: 502 }));
  expect(await refusal()).toEqual({ cause: 'other', detail: '502' });
  answer = () => Promise.reject(new TypeError('no route'));
  expect(await refusal()).toEqual({ cause: 'router', detail: 'no answer' });
});

const patches = (): typeof requests => requests.filter((r) => r.method === 'PATCH');

test('candidates are told together, each once', async () => {
  await viewer().open();
  Connection.last.candidate('candidate:1 192.0.2.1');
  await vi.advanceTimersByTimeAsync(100);
  Connection.last.candidate('candidate:2 192.0.2.2');
  expect(patches()).toEqual([]);
  await vi.advanceTimersByTimeAsync(100);
  const [first] = patches();
  expect(first?.url).toBe('/thu/cho/whep/token');
  expect(first?.headers.get('if-match')).toBe('"tag"');
  expect(first?.body).toContain('a=mid:0\r\na=candidate:1 192.0.2.1\r\na=candidate:2 192.0.2.2\r\n');
  Connection.last.candidate('candidate:3 192.0.2.3');
  await vi.advanceTimersByTimeAsync(200);
  expect(patches()).toHaveLength(2);
  expect(patches()[1]?.body).not.toContain('candidate:2');
});

test('candidates that help nobody are not told: hidden ones, and where there is a way already', async () => {
  await viewer().open();
  Connection.last.candidate('candidate:1 0f0e-1.local');
  await vi.advanceTimersByTimeAsync(200);
  Connection.last.candidate('candidate:2 192.0.2.2');
  Connection.last.becomes('connected');
  await vi.advanceTimersByTimeAsync(200);
  expect(patches()).toEqual([]);
});

test('without a connection in time there is no path', async () => {
  await viewer().open();
  await vi.advanceTimersByTimeAsync(7900);
  expect(lost).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(lost).toEqual(['udp']);
  expect(events.slice(-2)).toEqual(['DELETE', 'connection closed']);
});

test('a connection that fails is told apart from one that never was, and is told once', async () => {
  await viewer().open();
  Connection.last.becomes('failed');
  expect(lost).toEqual(['udp']);
  lost = [];
  await viewer().open();
  Connection.last.becomes('connected');
  Connection.last.becomes('failed');
  Connection.last.becomes('closed');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lost).toEqual(['lost']);
});

test('the browser’s doubt is passed on, and its end', async () => {
  await viewer().open();
  Connection.last.becomes('connecting');
  Connection.last.becomes('connected');
  Connection.last.becomes('disconnected');
  Connection.last.becomes('connected');
  expect(silences).toEqual([false, true, false]);
  expect(lost).toEqual([]);
});

test('the router is told of the end before the connection closes, once', async () => {
  const one = viewer();
  await one.open();
  one.close();
  one.close();
  await settle();
  expect(events.filter((event) => event === 'DELETE')).toHaveLength(1);
  expect(events).not.toContain('connection closed');
  await vi.advanceTimersByTimeAsync(ANSWERED_MS);
  expect(events.at(-1)).toBe('connection closed');
  Connection.last.becomes('failed');
  expect(lost).toEqual([]);
});

test('a session that is answered after it was given up is ended', async () => {
  let say: (response: Response) => void = () => undefined;
  answer = () => new Promise((resolve) => (say = resolve));
  const one = viewer();
  const opened = one.open();
  await settle();
  one.close();
  say(created());
  await opened;
  await settle();
  expect(events).not.toContain('remote answer');
  expect(requests.at(-1)).toMatchObject({ method: 'DELETE', url: '/thu/cho/whep/token' });
});

test('pictures are held back, sound is not', async () => {
  const one = viewer();
  await one.open();
  one.hold(120);
  expect(Connection.last.receivers.map((r) => r.jitterBufferTarget)).toEqual([120, null]);
  one.hold(null);
  expect(Connection.last.receivers.map((r) => r.jitterBufferTarget)).toEqual([null, null]);
});

test('the servers that the answer names are there before the browser looks for its addresses', async () => {
  const link =
    '<stun:192.0.2.1:3478>; rel="ice-server", ' +
    '<turn:192.0.2.1>; rel="ice-server"; username="u"; credential="p"; credential-type="password"';
  answer = () => Promise.resolve(new Response('answer', { status: 201, headers: { ...HEADERS, link } }));
  await viewer().open();
  expect(events.slice(2)).toEqual(['POST', 'servers', 'servers', 'local offer', 'remote answer']);
  expect(Connection.last.configuration).toEqual({
    bundlePolicy: 'max-bundle',
    iceServers: [{ urls: 'stun:192.0.2.1:3478' }, { urls: 'turn:192.0.2.1', username: 'u', credential: 'p' }],
  });
});

test('without a wish for sound there is none in the offer', async () => {
  const silent = new Viewer('/thu/cho/whep', {
    sound: false,
    lost: (cause) => lost.push(cause),
    silent: () => undefined,
  });
  await silent.open();
  expect(events).not.toContain('transceiver audio');
});

test('a page that is left waits for nothing', async () => {
  const one = viewer();
  await one.open();
  one.leave();
  expect(events.slice(-2)).toEqual(['DELETE', 'connection closed']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events.filter((event) => event === 'DELETE')).toHaveLength(1);
  expect(lost).toEqual([]);
});
