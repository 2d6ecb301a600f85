// Keeps one picture on screen: connects, notices when it stands still, connects again. What follows
// from what is `playing.ts`; here are the browser, the router and the clock.

import type { components } from './api';
import { after, BEGINNING, type Happened, type PlayState, type Told } from './playing';
import { Refusal, Viewer } from './whep';

type Session = components['schemas']['SessionInfo'];

export interface Stats {
  /** Estimated delay between the router and the screen, in ms. */
  delay: number | null;
  bitsPerSecond: number | null;
  framesPerSecond: number | null;
  /** Share of packets lost, 0 to 1. */
  loss: number | null;
  width: number | null;
  height: number | null;
}

/** How often the session's clock is asked for: cameras' clocks drift by less than a picture in it. */
const CLOCK_MS = 15_000;
/** Pictures are held back for what belongs on them by so much at most. */
const LONGEST_HOLD_MS = 300;
/** How long the router gets to say whether it knows a session. */
const ASK_MS = 5000;
const VIDEO_CLOCK_KHZ = 90;

export class Player {
  state = $state<PlayState>('connecting');
  cause = $state<string | null>(null);
  stats = $state.raw<Stats | null>(null);
  connected = $state<number | null>(null);
  picture = $state<number | null>(null);
  /** When the picture that is on screen was captured, in microseconds since 1970 by the router's
   * clock; null while that is not known, or nobody asks. */
  shownAt: number | null = null;
  /** Called with every picture that is shown. */
  onshown: (() => void) | null = null;

  private playing = BEGINNING;
  private viewer: Viewer | null = null;
  private video: HTMLVideoElement | null = null;
  private endpoint = '';
  private clock: { rtp: number; at: number; asked: number } | null = null;
  private held = 0;
  private asking = false;
  private timers: ReturnType<typeof setInterval>[] = [];
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private before: { bytes: number; frames: number; lost: number; packets: number; at: number } | null = null;

  /** Shows the camera at `endpoint` in `video` until the returned function is called. */
  attach(video: HTMLVideoElement, endpoint: string): () => void {
    this.video = video;
    this.endpoint = endpoint;
    this.timers = [
      setInterval(() => this.happened({ is: 'tick' }), 250),
      setInterval(() => void this.measure(), 1000),
    ];
    this.happened({ is: 'attached' });
    return () => this.detach();
  }

  private detach(): void {
    this.timers.forEach(clearInterval);
    clearTimeout(this.retryTimer);
    this.viewer?.close();
    this.viewer = null;
    if (this.video) this.video.srcObject = null;
    this.video = null;
  }

  private happened(what: Happened): void {
    const { playing, todo } = after(this.playing, what, performance.now(), Math.random());
    this.playing = playing;
    this.state = playing.state;
    this.cause = playing.cause;
    for (const one of todo) {
      if (one.do === 'connect') void this.connect();
      else if (one.do === 'close') this.close();
      else if (one.do === 'wait') this.wait(one.ms);
      else void this.ask();
    }
  }

  private wait(ms: number): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.happened({ is: 'due' }), ms);
  }

  private close(): void {
    this.viewer?.close();
    this.viewer = null;
    this.stats = null;
  }

  private async connect(): Promise<void> {
    const video = this.video;
    if (!video) return;
    const viewer = new Viewer(
      this.endpoint,
      (cause) => this.happened({ is: 'failed', cause }),
      (silent) => this.happened({ is: 'silent', silent }),
    );
    this.viewer?.close();
    this.viewer = viewer;
    this.before = null;
    this.clock = null;
    this.shownAt = null;
    this.held = 0;
    try {
      await viewer.open();
      if (this.viewer !== viewer) return;
      // Not before: a page is not loaded as long as a picture is waited for, and where the router
      // refuses there comes none.
      video.srcObject = viewer.stream;
      this.frames(video, viewer);
      void video.play().catch(() => undefined);
    } catch (error) {
      if (this.viewer === viewer) {
        const cause = error instanceof Refusal ? error.refused.cause : 'other';
        this.happened({ is: 'failed', cause });
      }
    }
  }

  /** Follows every picture that is shown. */
  private frames(video: HTMLVideoElement, viewer: Viewer): void {
    const shown: VideoFrameRequestCallback = (_now, picture) => {
      if (this.viewer !== viewer) return;
      viewer.pictured();
      if (this.state !== 'live') {
        this.connected = viewer.timing.connected;
        this.picture = viewer.timing.picture;
      }
      this.happened({ is: 'shown' });
      this.shownAt = this.captured(picture.rtpTimestamp);
      this.onshown?.();
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }

  /** When what has this RTP time was captured. */
  private captured(rtp: number | undefined): number | null {
    if (rtp === undefined || this.clock === null) return null;
    // The difference of two 32-bit counters, whichever is ahead.
    const ticks = (rtp - this.clock.rtp) | 0;
    return this.clock.at + (ticks * 1000) / VIDEO_CLOCK_KHZ;
  }

  /** Asks the router which RTP time was captured when. */
  private async synchronize(viewer: Viewer): Promise<void> {
    const now = performance.now();
    if (viewer.number === null || (this.clock && now - this.clock.asked < CLOCK_MS)) return;
    const answer = await fetch(`/api/v1/sessions/${viewer.number}`).catch(() => null);
    if (!answer?.ok || this.viewer !== viewer) return;
    const session = (await answer.json()) as Session;
    if (session.clock) this.clock = { ...session.clock, asked: now };
  }

  /** What belongs on a picture came so many milliseconds after it was shown: later ones are held
   * back by so much more, within bounds. */
  late(milliseconds: number): void {
    const held = Math.min(this.held + milliseconds, LONGEST_HOLD_MS);
    if (held < this.held + 10) return;
    this.held = held;
    this.viewer?.hold(held);
  }

  /** Pictures are shown as soon as they can be again. */
  prompt(): void {
    this.held = 0;
    this.viewer?.hold(null);
  }

  /** What the router says, as often as it does. */
  told(told: Told): void {
    this.happened({ is: 'told', told });
  }

  /** Asks the router whether it knows the session. */
  private async ask(): Promise<void> {
    const viewer = this.viewer;
    // An attempt that is not answered yet has no session.
    const number = viewer?.number ?? null;
    if (number === null || this.asking) return;
    this.asking = true;
    const known = await this.knows(number);
    this.asking = false;
    if (known === false && this.viewer === viewer) this.happened({ is: 'forgotten' });
  }

  /** Null if it does not say. */
  private async knows(number: string): Promise<boolean | null> {
    const signal = AbortSignal.timeout(ASK_MS);
    const answer = await fetch(`/api/v1/sessions/${number}`, { signal }).catch(() => null);
    if (answer?.status === 404) return false;
    if (!answer?.ok) return null;
    // A router that was started anew counts its sessions anew: the number may be another viewer's.
    const session = (await answer.json().catch(() => null)) as Session | null;
    return session && this.endpoint.startsWith(`/${session.commune}/${session.camera}/`);
  }

  private async measure(): Promise<void> {
    const viewer = this.viewer;
    const connection = viewer?.connection;
    if (!viewer || !connection || this.state !== 'live') return;
    if (this.onshown) void this.synchronize(viewer);
    const report = await connection.getStats();
    const entries = Array.from(report.values() as Iterable<RTCStats>);
    const pairs = entries.filter((entry) => entry.type === 'candidate-pair') as RTCIceCandidatePairStats[];
    const trip = pairs.findLast((pair) => pair.nominated)?.currentRoundTripTime ?? 0;
    const streams = entries.filter((entry) => entry.type === 'inbound-rtp') as RTCInboundRtpStreamStats[];
    for (const stream of streams.filter((one) => one.kind === 'video')) {
      const now = {
        bytes: stream.bytesReceived ?? 0,
        frames: stream.framesDecoded ?? 0,
        lost: stream.packetsLost ?? 0,
        packets: stream.packetsReceived ?? 0,
        at: stream.timestamp,
      };
      const before = this.before;
      this.before = now;
      const emitted = stream.jitterBufferEmittedCount ?? 0;
      const buffered = emitted > 0 ? (stream.jitterBufferDelay ?? 0) / emitted : 0;
      const decoded = now.frames > 0 ? (stream.totalDecodeTime ?? 0) / now.frames : 0;
      const seconds = before ? (now.at - before.at) / 1000 : 0;
      const packets = before ? now.packets - before.packets : 0;
      const lost = before ? Math.max(0, now.lost - before.lost) : 0;
      this.stats = {
        delay: (trip / 2 + buffered + decoded) * 1000,
        bitsPerSecond: before && seconds > 0 ? ((now.bytes - before.bytes) * 8) / seconds : null,
        framesPerSecond: before && seconds > 0 ? (now.frames - before.frames) / seconds : null,
        loss: before && packets + lost > 0 ? lost / (packets + lost) : null,
        width: stream.frameWidth ?? null,
        height: stream.frameHeight ?? null,
      };
    }
  }
}
