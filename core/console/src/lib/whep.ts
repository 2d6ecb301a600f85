// A WHEP viewer (draft-ietf-wish-whep-04): one camera, one peer connection.

import type { components } from './api';
import { iceServersOf, useIceServers } from './icelinks';

export interface Refused {
  cause: string;
  /** What the router says, for the log. */
  detail: string;
}

export interface Timing {
  /** Milliseconds from the wish to the connection. */
  connected: number | null;
  /** Milliseconds from the wish to the first picture. */
  picture: number | null;
}

/** Without a connection by then there is no path. */
const CONNECT_MS = 8000;
/** Candidates are told together, and not at all if there is a way by then. */
const GATHER_MS = 150;
/** How long the router gets to answer that a session is over. */
const CLOSE_MS = 2000;

export class Refusal extends Error {
  constructor(readonly refused: Refused) {
    super(refused.detail);
  }
}

/** What refuses may be another server than the router. */
type Problem = Partial<components['schemas']['ProblemJson']>;

/** The cause that a refusal's problem+json stands for. */
function causeOf(status: number, problem: Problem): string {
  if (status === 406) return 'codec';
  if (status === 409) return problem.cause ?? 'starting';
  if (status === 404) return 'gone';
  if (status === 503) return 'full';
  return 'other';
}

export interface Wishes {
  /** Whether sound is wanted. */
  sound: boolean;
  /** It is over, and why. */
  lost: (cause: string) => void;
  /** Nothing comes from the router any more, or something comes again. */
  silent: (silent: boolean) => void;
}

export class Viewer {
  readonly connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  readonly stream = new MediaStream();
  readonly timing: Timing = { connected: null, picture: null };
  private readonly began = performance.now();
  private session: string | null = null;
  /** The session's number, to ask for its figures. */
  number: string | null = null;
  private etag = '*';
  private candidates: RTCIceCandidate[] = [];
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  constructor(
    private readonly endpoint: string,
    private readonly wishes: Wishes,
  ) {
    this.connection.ontrack = (event) => this.stream.addTrack(event.track);
    this.connection.onicecandidate = (event) => {
      // Names that only the browser's own machines can look up help nobody else.
      if (!event.candidate || event.candidate.address?.endsWith('.local')) return;
      this.candidates.push(event.candidate);
      this.gathering ??= setTimeout(() => void this.trickle(), GATHER_MS);
    };
    this.connection.onconnectionstatechange = () => {
      const state = this.connection.connectionState;
      if (state === 'connected') this.timing.connected ??= performance.now() - this.began;
      if (state === 'connected' || state === 'disconnected') wishes.silent(state === 'disconnected');
      if (state === 'failed') this.fail(this.timing.connected === null ? 'udp' : 'lost');
      if (state === 'closed') this.fail('lost');
    };
  }

  /** Connects. Throws a {@link Refusal} if the router says no. */
  async open(): Promise<void> {
    this.connection.addTransceiver('video', { direction: 'recvonly' });
    if (this.wishes.sound) this.connection.addTransceiver('audio', { direction: 'recvonly' });
    const offer = await this.connection.createOffer();
    const response = await this.post(offer.sdp ?? '');
    if (response.status !== 201) {
      const problem = (await response.json().catch(() => ({}))) as Problem;
      throw new Refusal({
        cause: causeOf(response.status, problem),
        detail: problem.detail ?? String(response.status),
      });
    }
    this.session = response.headers.get('location');
    this.number = response.headers.get('taimat-session');
    this.etag = response.headers.get('etag') ?? '*';
    if (this.closed) {
      void this.end();
      return;
    }
    // The answer names the servers that help to find a way, with passwords that may be good for minutes: the
    // browser begins to look for its own addresses only now, and not with those of an earlier answer.
    useIceServers(this.connection, iceServersOf(response.headers.get('link')));
    await this.connection.setLocalDescription(offer);
    await this.connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    setTimeout(() => {
      if (this.timing.connected === null) this.fail('udp');
    }, CONNECT_MS);
  }

  private async post(sdp: string): Promise<Response> {
    try {
      return await fetch(this.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/sdp' },
        body: sdp,
        signal: AbortSignal.timeout(20_000),
      });
    } catch {
      throw new Refusal({ cause: 'router', detail: 'no answer' });
    }
  }

  /** Tells the router candidates that came after the offer (RFC 8840). Where the browser reaches the router it
   * needs none: it answers to where the browser's checks come from. */
  private async trickle(): Promise<void> {
    this.gathering = undefined;
    if (!this.session || this.connection.connectionState === 'connected') return;
    const lines = this.candidates.map((c) => `a=${c.candidate}\r\n`).join('');
    const mid = this.candidates[0]?.sdpMid ?? '0';
    this.candidates = [];
    await fetch(this.session, {
      method: 'PATCH',
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': this.etag },
      body: `m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:${mid}\r\n${lines}`,
    }).catch(() => undefined);
  }

  /** Asks the browser to hold pictures back by so many milliseconds; null for as few as it can. */
  hold(milliseconds: number | null): void {
    for (const receiver of this.connection.getReceivers()) {
      if (receiver.track.kind === 'video') receiver.jitterBufferTarget = milliseconds;
    }
  }

  /** The page saw the first picture. */
  pictured(): void {
    this.timing.picture ??= performance.now() - this.began;
  }

  private fail(cause: string): void {
    if (this.closed) return;
    this.close();
    this.wishes.lost(cause);
  }

  /** Ends the session; the router is told. */
  close(): void {
    // Once: a second end would not wait for the router.
    if (this.closed) return;
    this.closed = true;
    this.connection.onconnectionstatechange = null;
    void this.end();
  }

  /** Ends the session, as the page is being left and waits for nothing any more. A browser lets a page that
   * is gone finish some ten requests, and a wall has more pictures: the connection says goodbye as well. */
  leave(): void {
    this.close();
    this.connection.close();
  }

  /** The router first: a connection that closes takes its session with it. */
  private async end(): Promise<void> {
    const session = this.session;
    this.session = null;
    if (session !== null) {
      const signal = AbortSignal.timeout(CLOSE_MS);
      const told = fetch(session, { method: 'DELETE', keepalive: true, signal });
      await told.catch(() => undefined);
    }
    this.connection.close();
  }
}
