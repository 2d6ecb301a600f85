// The bell: a tone, and a notification of the browser's, for events that somebody should look at. What
// rings when is `ringing.ts`.
//
// A browser lets a page be heard once somebody has clicked or typed in it. Until then the bell is
// blocked, and says so: a duty desk that trusts it must not find out later.

import { addressOf } from './address';
import type { RouterEvent } from './eventlist';
import { i18n } from './i18n.svelte';
import { overview } from './overview.svelte';
import { Ringing, TONES, type Pitch } from './ringing';

/** What the browser says of notifications; `insecure` is a page that came without TLS. */
export type Permission = 'default' | 'granted' | 'denied' | 'insecure';

/** An audio output that has not begun by then does not. */
const BEGIN_MS = 1000;
/** Events that some page on this machine has rung for. */
const RUNG = 'taimat.rung';
const REMEMBERED = 100;

function permission(): Permission {
  // Browsers have it for pages that came by TLS or from the machine itself.
  return isSecureContext && 'Notification' in window ? Notification.permission : 'insecure';
}

function volume(): number {
  const stored = Number(localStorage.getItem('taimat.volume') ?? '0.6');
  return stored > 0 && stored <= 1 ? stored : 0.6;
}

function routerNow(): number {
  return Date.now() + overview.ahead * 1000;
}

/** The service worker, where somebody wanted notifications for a closed page. */
async function serviceWorker(): Promise<ServiceWorkerRegistration | null> {
  if (!('serviceWorker' in navigator)) return null;
  const found = await navigator.serviceWorker.getRegistration().catch(() => undefined);
  return found?.active ? found : null;
}

class Bell {
  on = $state(localStorage.getItem('taimat.bell') === 'on');
  volume = $state(volume());
  /** It is on and can not be heard: the browser waits for a click. */
  blocked = $state(false);
  permission = $state<Permission>(permission());
  /** Whether notifications are wanted, where they are allowed. */
  notify = $state(localStorage.getItem('taimat.notify') === 'on');
  /** What was heard last, and when by the router's clock, in ms since 1970. */
  heard = $state.raw<{ pitch: Pitch; at: number } | null>(null);

  #audio: AudioContext | null = null;
  #ringing: Ringing | null = null;

  /** Looks whether the browser lets it be heard, and waits for a click if not. */
  start = (): (() => void) => {
    const clicked = (): void => void this.#unblock();
    // Not when a button is pressed: it would change under the finger before it is lifted.
    const kinds = ['click', 'keydown'];
    kinds.forEach((kind) => addEventListener(kind, clicked));
    void this.#unblock();
    return () => kinds.forEach((kind) => removeEventListener(kind, clicked));
  };

  toggle = (): void => {
    this.on = !this.on;
    localStorage.setItem('taimat.bell', this.on ? 'on' : 'off');
    if (this.on) void this.#unblock();
    else {
      this.blocked = false;
      void this.#audio?.suspend();
    }
  };

  setVolume = (volume: number): void => {
    this.volume = volume;
    localStorage.setItem('taimat.volume', String(volume));
  };

  /** To hear what it will sound like. */
  test = (pitch: Pitch): void => void this.#play(pitch);

  /** Asks for notifications, or does without them. */
  toggleNotify = async (): Promise<void> => {
    if (this.permission === 'default') this.permission = await Notification.requestPermission();
    this.notify = this.permission === 'granted' && !this.notify;
    localStorage.setItem('taimat.notify', this.notify ? 'on' : 'off');
  };

  /** Every event that the page sees comes by here. */
  look = (event: RouterEvent): void => {
    // The router's clock is known once it has answered.
    this.#ringing ??= new Ringing(performance.timeOrigin + overview.ahead * 1000);
    const now = routerNow();
    if (!this.#ringing.isNews(event, now)) return;
    if (this.notify && this.permission === 'granted') this.#show(event);
    const pitch = this.on ? this.#ringing.pitch(event, now) : null;
    if (pitch !== null && !this.#rung(event.id)) void this.#ring(event.id, pitch);
  };

  async #ring(id: string, pitch: Pitch): Promise<void> {
    // Another page on this machine is quiet about it only if this one was heard.
    if (await this.#play(pitch)) {
      const rung = [...this.#all(), id].slice(-REMEMBERED);
      localStorage.setItem(RUNG, rung.join(' '));
    }
  }

  #all(): string[] {
    return (localStorage.getItem(RUNG) ?? '').split(' ').filter(Boolean);
  }

  #rung(id: string): boolean {
    return this.#all().includes(id);
  }

  #show(event: RouterEvent): void {
    // Who looks at the page sees it there.
    if (document.visibilityState === 'visible' && document.hasFocus()) return;
    const camera = event.camera === null ? undefined : overview.find(`${event.commune}/${event.camera}`);
    const body = [camera?.camera.title ?? event.camera, event.best.text].filter(Boolean).join(' – ');
    const link = addressOf({ page: 'event', commune: event.commune, event: event.id });
    const title = i18n.kind(event.kind);
    // The same tag replaces: two pages show it once.
    const options = { body, tag: event.id, icon: '/icon.svg', data: { link: `/${link}` } };
    void serviceWorker().then((worker) => {
      // What it shows, and what it is told while no page is in sight, take each other's place.
      if (worker) return worker.showNotification(title, options);
      try {
        const shown = new Notification(title, options);
        shown.onclick = () => {
          window.focus();
          location.hash = link;
          shown.close();
        };
      } catch {
        // Some browsers have it for service workers only.
        this.permission = 'denied';
      }
    });
  }

  /** The output, once it goes; null if the browser does not let it. */
  async #output(): Promise<AudioContext | null> {
    if (!this.#audio) {
      try {
        this.#audio = new AudioContext();
      } catch {
        // No output at all.
        return null;
      }
      // A phone call, a loudspeaker that is pulled out.
      this.#audio.onstatechange = () => {
        if (this.on) this.blocked = this.#audio?.state !== 'running';
      };
    }
    const audio = this.#audio;
    // Where it is not allowed, the promise is neither kept nor broken.
    const late = new Promise((resolve) => setTimeout(resolve, BEGIN_MS));
    await Promise.race([audio.resume().catch(() => undefined), late]);
    return audio.state === 'running' ? audio : null;
  }

  async #unblock(): Promise<void> {
    if (!this.on || (this.#audio?.state === 'running' && !this.blocked)) return;
    this.blocked = (await this.#output()) === null && this.on;
  }

  /** Says whether it was heard. */
  async #play(pitch: Pitch): Promise<boolean> {
    const audio = await this.#output();
    this.blocked = audio === null;
    if (!audio) return false;
    let at = audio.currentTime + 0.02;
    for (const [frequency, length] of TONES[pitch]) {
      const [tone, loud] = [audio.createOscillator(), audio.createGain()];
      tone.frequency.value = frequency;
      tone.type = 'triangle';
      // Without a click at its ends.
      loud.gain.setValueAtTime(0, at);
      loud.gain.linearRampToValueAtTime(this.volume ** 2, at + 0.015);
      loud.gain.setValueAtTime(this.volume ** 2, at + length - 0.04);
      loud.gain.linearRampToValueAtTime(0, at + length);
      tone.connect(loud).connect(audio.destination);
      tone.start(at);
      tone.stop(at + length);
      at += length;
    }
    this.heard = { pitch, at: routerNow() };
    return true;
  }
}

export const bell = new Bell();
