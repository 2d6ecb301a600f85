// Notifications for a closed page (Web Push): the browser is asked for an address, and the commune is asked
// to tell it there. What can be said of it is `asking.ts`.

import type { components } from './api';
import { change, getJson, type Changed, type Refused } from './ask';
import { leastOf, standing, type Least, type PushView } from './asking';
import { bell } from './bell.svelte';
import { i18n } from './i18n.svelte';
import { allWanted, asked, asText, keepWanted, type AllWanted, type Wanted } from './wanted';

type Browser = components['schemas']['BrowserView'];

const SUPPORTED = 'serviceWorker' in navigator && 'PushManager' in window;

const path = (commune: string): string => `/api/v1/communes/${commune}/push`;

/** The service worker; it is there from the first time that somebody wants it. */
async function registered(): Promise<ServiceWorkerRegistration> {
  await navigator.serviceWorker.register('/sw.js');
  return navigator.serviceWorker.ready;
}

/** Where this browser is told, with this key: an address that was made with another one is of no use. */
async function subscribed(key: string): Promise<PushSubscription> {
  const { pushManager } = await registered();
  const before = await pushManager.getSubscription();
  if (before && asText(before.options.applicationServerKey) === key) return before;
  await before?.unsubscribe();
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

/** Tells the commune; the browser as it knows it, or why not. */
async function tellMe(commune: string, wanted: Wanted): Promise<Changed<Browser>> {
  const body = asked((await subscribed(wanted.key)).toJSON(), wanted);
  // The browser has an address and no keys to it.
  if (!body) throw new Error('');
  return change<Browser>('POST', path(commune), body);
}

class Pushing {
  /** What each commune was asked for, as far as it is known. */
  wanted = $state.raw<AllWanted>({});
  /** What each commune calls this browser. */
  names = $state.raw<Record<string, string>>({});
  views = $state.raw<Record<string, PushView>>({});
  busy = $state(false);
  /** A message is on its way that tries it. */
  tried = $state(false);
  /** Why the last thing was not done, if the router did not do it. */
  refused = $state.raw<Refused | null>(null);
  /** The same if the browser did not, in its words; empty if it has none. */
  unavailable = $state<string | null>(null);

  /** Asks anew for what was asked for: addresses and keys change, and a router may have lost them. */
  start = (): (() => void) => {
    if (!SUPPORTED || !isSecureContext) return () => undefined;
    const opened = ({ data }: MessageEvent): void => {
      const link = (data as { open?: unknown } | null)?.open;
      if (typeof link === 'string' && link.startsWith('/#')) location.hash = link.slice(1);
    };
    navigator.serviceWorker.addEventListener('message', opened);
    void this.#renew();
    return () => navigator.serviceWorker.removeEventListener('message', opened);
  };

  async #renew(): Promise<void> {
    this.wanted = await allWanted();
    if (Notification.permission !== 'granted') return;
    for (const commune of Object.keys(this.wanted)) await this.#ask(commune).catch(() => undefined);
  }

  /** What the router says of it. */
  look = async (commune: string): Promise<void> => {
    if (!SUPPORTED) return;
    const view = await getJson<PushView>(path(commune));
    if (view) this.views = { ...this.views, [commune]: view };
  };

  standing = (commune: string): ReturnType<typeof standing> =>
    standing({
      secure: isSecureContext && 'Notification' in window,
      supported: SUPPORTED,
      permission: bell.permission === 'insecure' ? 'default' : bell.permission,
      router: this.views[commune] ?? null,
      asked: commune in this.wanted,
    });

  least = (commune: string): Least => leastOf(this.wanted[commune]?.wants.at_least);

  /** From now on this browser is told, of what is so severe. */
  on = (commune: string, who: string, least: Least): Promise<void> =>
    this.#doing(async () => {
      bell.permission = await Notification.requestPermission();
      if (bell.permission !== 'granted') return;
      const wants = { language: i18n.language, at_least: least, cameras: [], kinds: [] };
      await this.look(commune);
      const wanted = { key: this.views[commune]?.public_key ?? '', who, wants };
      const told = await tellMe(commune, wanted);
      // It is on once the router has said so, and not before.
      if ('refused' in told) this.refused = told.refused;
      else await this.#keep(commune, wanted, told.is);
    });

  /** Has this browser told that somebody tries it: what comes then has gone the whole way. */
  tryIt = (commune: string, who: string): Promise<void> =>
    this.#doing(async () => {
      const name = encodeURIComponent(this.names[commune] ?? '');
      const told = await change('POST', `/api/v1/communes/${commune}/targets/${name}/test`, { who });
      if ('refused' in told) this.refused = told.refused;
      else this.tried = true;
    });

  /** From now on it is not. */
  off = (commune: string): Promise<void> =>
    this.#doing(async () => {
      const { pushManager } = await registered();
      const subscription = await pushManager.getSubscription();
      if (subscription) {
        const { endpoint } = subscription;
        const gone = await change('DELETE', path(commune), { endpoint });
        // If the router does not hear it, it hears it from the push service.
        const alone = Object.keys(this.wanted).length <= 1;
        if (alone || 'refused' in gone) await subscription.unsubscribe();
      }
      await this.#forget(commune);
    });

  /** Asks a commune for what is kept. */
  async #ask(commune: string): Promise<void> {
    await this.look(commune);
    const [before, key] = [this.wanted[commune], this.views[commune]?.public_key];
    if (!before || !key) return;
    const wanted = { ...before, key };
    const told = await tellMe(commune, wanted);
    if ('is' in told) await this.#keep(commune, wanted, told.is);
  }

  async #keep(commune: string, wanted: Wanted, { name }: Browser): Promise<void> {
    this.names = { ...this.names, [commune]: name };
    this.wanted = { ...this.wanted, [commune]: wanted };
    await keepWanted(this.wanted);
  }

  async #forget(commune: string): Promise<void> {
    const { [commune]: _gone, ...rest } = this.wanted;
    this.wanted = rest;
    await keepWanted(rest);
  }

  async #doing(does: () => Promise<void>): Promise<void> {
    this.refused = null;
    this.unavailable = null;
    this.tried = false;
    this.busy = true;
    try {
      await does();
    } catch (error) {
      // No address is to be had: a browser without its maker's service, or without a way there.
      this.unavailable = error instanceof Error ? error.message : '';
    }
    this.busy = false;
  }
}

export const pushing = new Pushing();
