// Keeps one picture on screen: connects, notices when it stands still, connects again. What follows
// from what is `playing.ts`, and what is said of the picture `label.ts`; here are the browser, the router and
// the clock.

import type { components } from './api';
import { keepPlaying, type Kept } from './element';
import { type Counted, figuresOf, type Figures } from './figures';
import { Freshness } from './freshness';
import { labelOf, type Said, until } from './label';
import { after, BEGINNING, type Happened, type Told } from './playing';
import { sight } from './sight';
import { Refusal, Viewer } from './whep';

type Session = components['schemas']['SessionInfo'];
export type Stats = Figures;

/** How often the router is asked up to where it has sent. */
const CLOCK_MS = 15_000;
/** As long as it has not said so, or a picture is late. */
const CLOCK_SOON_MS = 3000;
/** Pictures are held back for what belongs on them by so much at most. */
const LONGEST_HOLD_MS = 300;
/** How long the router gets to say whether it knows a session. */
const ASK_MS = 5000;
const LOOK_MS = 250;
const MEASURE_MS = 1000;
const VIDEO_CLOCK_KHZ = 90;

export class Player {
  /** What is said of the picture on screen. */
  said = $state.raw<Said>({ label: 'connecting', cause: null, seconds: null });
  label = $derived(this.said.label);
  stats = $state.raw<Stats | null>(null);
  connected = $state<number | null>(null);
  picture = $state<number | null>(null);
  /** When the picture that is on screen was captured, in microseconds since 1970 by the router's
   * clock; null while that is not known. */
  shownAt: number | null = null;
  /** Called with every picture that is shown. */
  onshown: (() => void) | null = null;

  private playing = BEGINNING;
  private viewer: Viewer | null = null;
  private video: HTMLVideoElement | null = null;
  private kept: Kept | null = null;
  private endpoint = '';
  private refused = false;
  private readonly freshness = new Freshness();
  private toldAt = 0;
  private clock: { rtp: number; at: number } | null = null;
  private clockAsked = -Infinity;
  private held = 0;
  private asking = false;
  private endings: (() => void)[] = [];
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private labelTimer: ReturnType<typeof setTimeout> | undefined;
  private before: Counted | null = null;

  constructor(
    private readonly options: {
      /** Whether figures of the connection are wanted. */
      measured?: boolean;
      /** Whether sound is wanted. */
      sound?: boolean;
    } = {},
  ) {}

  /** Shows the camera at `endpoint` in `video` until the returned function is called. */
  attach(video: HTMLVideoElement, endpoint: string): () => void {
    this.video = video;
    this.endpoint = endpoint;
    const kept = keepPlaying(video, (refused) => {
      this.refused = refused;
      this.watch();
    });
    this.kept = kept;
    const timers = [
      setInterval(() => this.happened({ is: 'tick' }), LOOK_MS),
      setInterval(() => void this.measure(), MEASURE_MS),
    ];
    this.endings = [
      () => timers.forEach(clearInterval),
      kept.release,
      sight.listen({
        seen: (seen) => {
          // Some browsers pause what nobody sees.
          if (seen && video.paused && video.srcObject) kept.play();
          this.watch();
        },
        woke: () => this.woke(),
        left: () => this.left(),
        back: () => this.happened({ is: 'attached' }),
      }),
    ];
    this.happened({ is: 'attached' });
    return () => this.detach();
  }

  private detach(): void {
    for (const end of this.endings) end();
    clearTimeout(this.retryTimer);
    clearTimeout(this.labelTimer);
    this.labelTimer = undefined;
    this.viewer?.close();
    this.viewer = null;
    if (this.video) this.video.srcObject = null;
    this.video = null;
    this.kept = null;
    this.refused = false;
  }

  /** Somebody pressed where it says that one has to. */
  press = (): void => this.kept?.press();

  /** Whether the page is seen, or the browser plays, is another now. */
  private watch(): void {
    this.freshness.unsee();
    this.happened({ is: 'watched', watched: sight.seen && !this.refused });
  }

  private woke(): void {
    this.freshness.unsee();
    this.happened({ is: 'woke' });
  }

  /** The page is being left: no answer of the router's will be heard. */
  private left(): void {
    this.viewer?.leave();
    this.viewer = null;
    this.freshness.forget();
    clearTimeout(this.retryTimer);
    this.say();
  }

  private happened(what: Happened): void {
    const { playing, todo } = after(this.playing, what, performance.now(), Math.random());
    this.playing = playing;
    for (const one of todo) {
      if (one.do === 'connect') void this.connect();
      else if (one.do === 'close') this.close();
      else if (one.do === 'wait') this.wait(one.ms);
      else void this.ask();
    }
    this.say();
  }

  /** Says of the picture what is true now, and looks again when that ends. */
  private say(): void {
    const { picture } = this.freshness;
    const { state, cause, told } = this.playing;
    const facts = {
      state,
      cause,
      told,
      picture,
      toldAt: this.toldAt,
      paused: this.refused,
      seen: sight.seen,
    };
    const now = performance.now();
    const said = labelOf(facts, now);
    const { label, seconds } = this.said;
    if (said.label !== label || said.cause !== this.said.cause || said.seconds !== seconds) this.said = said;
    const end = until(said, picture);
    // Not anew with every picture: when it is due it looks how long the newest one has been there.
    if (end === null || this.labelTimer !== undefined) return;
    this.labelTimer = setTimeout(
      () => {
        this.labelTimer = undefined;
        this.say();
      },
      Math.max(0, end - now) + 1,
    );
  }

  private wait(ms: number): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.happened({ is: 'due' }), ms);
  }

  private close(): void {
    this.viewer?.close();
    this.viewer = null;
    this.freshness.forget();
    this.stats = null;
  }

  private async connect(): Promise<void> {
    this.viewer?.close();
    this.viewer = null;
    this.freshness.forget();
    const video = this.video;
    if (!video) return;
    const viewer = new Viewer(this.endpoint, {
      sound: this.options.sound ?? false,
      lost: (cause) => {
        if (this.viewer === viewer) this.happened({ is: 'failed', cause });
      },
      silent: (silent) => {
        if (this.viewer === viewer) this.happened({ is: 'silent', silent });
      },
    });
    this.viewer = viewer;
    this.before = null;
    this.clock = null;
    // Not while all pictures of a wall begin, unless marks wait for it.
    this.clockAsked = this.onshown ? -Infinity : performance.now();
    this.shownAt = null;
    this.held = 0;
    try {
      await viewer.open();
      if (this.viewer !== viewer) return;
      // Not before: a page is not loaded as long as a picture is waited for, and where the router
      // refuses there comes none.
      video.srcObject = viewer.stream;
      this.frames(video, viewer);
      this.kept?.play();
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
      const now = performance.now();
      video.requestVideoFrameCallback(shown);
      viewer.pictured();
      if (this.playing.state !== 'playing') {
        this.connected = viewer.timing.connected;
        this.picture = viewer.timing.picture;
      }
      // Of a browser that does not say its time a picture is known to be another one, no more.
      const rtp = picture.rtpTimestamp ?? Math.round(now * VIDEO_CLOCK_KHZ);
      // The same picture again is none.
      if (!this.freshness.shown(rtp, now, this.playing.told?.every ?? null)) return;
      this.happened({ is: 'shown' });
      this.shownAt = this.captured(picture.rtpTimestamp);
      this.onshown?.();
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

  /** Asks the router up to which RTP time it has sent, and when that was captured. */
  private async synchronize(viewer: Viewer): Promise<void> {
    const settled = this.clock !== null && this.said.label === 'live';
    const now = performance.now();
    if (viewer.number === null || now - this.clockAsked < (settled ? CLOCK_MS : CLOCK_SOON_MS)) return;
    this.clockAsked = now;
    const signal = AbortSignal.timeout(ASK_MS);
    const answer = await fetch(`/api/v1/sessions/${viewer.number}`, { signal }).catch(() => null);
    const session = answer?.ok ? ((await answer.json().catch(() => null)) as Session | null) : null;
    if (!session?.clock || this.viewer !== viewer || !this.isOurs(session)) return;
    this.clock = session.clock;
    const told = this.playing.told;
    const well = told?.state === 'live' && told.reachable && (told.pictureAge ?? Infinity) < CLOCK_SOON_MS;
    this.freshness.sent(session.clock.rtp, performance.now(), well);
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
    this.toldAt = performance.now();
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
    const session = (await answer.json().catch(() => null)) as Session | null;
    return session && this.isOurs(session);
  }

  /** A router that was started anew counts its sessions anew: the number may be another viewer's. */
  private isOurs({ commune, camera }: Session): boolean {
    return this.endpoint.startsWith(`/${commune}/${camera}/`);
  }

  private async measure(): Promise<void> {
    const viewer = this.viewer;
    if (!viewer || this.playing.state !== 'playing') return;
    void this.synchronize(viewer);
    if (!this.options.measured || !sight.seen) return;
    const measured = figuresOf(await viewer.connection.getStats(), this.before);
    if (!measured || this.viewer !== viewer) return;
    this.before = measured.now;
    this.stats = measured.figures;
  }
}
