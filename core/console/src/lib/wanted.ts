// What this browser asked for, by commune: kept where both the page and the service worker find it, since
// the latter asks again when the browser's address changes and no page is open.

import type { components } from './api';

type Wants = components['schemas']['Wants'];

/** What a browser asked a commune for. */
export interface Wanted {
  /** The router's public key then. */
  key: string;
  /** The name of who sits here. */
  who: string;
  wants: Wants;
}

export type AllWanted = Record<string, Wanted>;

const CACHE = 'taimat-push';
const ENTRY = '/push-wanted';

/** All of it; nothing where the browser keeps nothing. */
export async function allWanted(): Promise<AllWanted> {
  try {
    const kept = await (await caches.open(CACHE)).match(ENTRY);
    return kept ? ((await kept.json()) as AllWanted) : {};
  } catch {
    return {};
  }
}

/** From now on it is this. */
export async function keepWanted(all: AllWanted): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.put(ENTRY, new Response(JSON.stringify(all)));
}

/** Bytes as `applicationServerKey` is written. */
export function asText(bytes: ArrayBuffer | null): string {
  const text = String.fromCharCode(...new Uint8Array(bytes ?? new ArrayBuffer(0)));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** What the router is asked for a browser; null if the browser does not say where it is told. */
export function asked(
  subscription: PushSubscriptionJSON,
  { who, wants }: Wanted,
): components['schemas']['PushBody'] | null {
  const { endpoint, keys } = subscription;
  if (!endpoint || !keys?.p256dh || !keys.auth) return null;
  return { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth }, who, wants };
}
