// What can be said of notifications for a closed page, and what there is to do. Without browser, network
// and clock.

import type { components } from './api';
import type { Word } from './texts/en';

export type PushView = components['schemas']['PushView'];

/** What is known. */
export interface Around {
  /** The page came by HTTPS or from the machine itself. */
  secure: boolean;
  /** The browser has service workers and Web Push. */
  supported: boolean;
  permission: NotificationPermission;
  /** What the router says; null while it has not. */
  router: PushView | null;
  /** The commune was asked to tell this browser. */
  asked: boolean;
}

/** How it stands; `canAsk` and `on` have a button. */
export type Standing = 'unknown' | 'insecure' | 'unsupported' | 'notOffered' | 'denied' | 'canAsk' | 'on';

export function standing({ secure, supported, permission, router, asked }: Around): Standing {
  if (!secure) return 'insecure';
  if (!supported) return 'unsupported';
  if (!router) return 'unknown';
  if (router.public_key === null) return 'notOffered';
  // Who took the permission back is told nothing, whatever was asked for.
  if (permission === 'denied') return 'denied';
  return asked && permission === 'granted' ? 'on' : 'canAsk';
}

/** What is said of it. */
export const NOTES: Record<Standing, Word | null> = {
  unknown: null,
  // Said already where notifications are switched on.
  insecure: null,
  unsupported: 'push_unsupported',
  notOffered: 'push_notOffered',
  denied: null,
  canAsk: 'push_note',
  on: 'push_onNote',
};

/** How severe what is told has to be. */
export const LEAST = ['notice', 'warning', 'alarm'] as const;
export type Least = (typeof LEAST)[number];

export function leastOf(text: string | undefined): Least {
  return LEAST.find((least) => least === text) ?? 'warning';
}
