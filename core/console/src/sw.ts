// The service worker: shows what the router tells while no page of ours is in sight. It keeps nothing and
// stands in the way of no request. What is shown is `lib/notice.ts`; it becomes `/sw.js`, whole.

import { isSeen, pageFor, read, shown, type Page } from './lib/notice';
import { allWanted, asked, type AllWanted } from './lib/wanted';

/** What of a service worker is used here: TypeScript has either its types or a page's. */
interface Waits extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Client extends Page {
  focus(): Promise<unknown>;
  postMessage(message: unknown): void;
}
interface Scope {
  addEventListener(kind: string, listener: (event: never) => void): void;
  skipWaiting(): Promise<void>;
  registration: ServiceWorkerRegistration;
  clients: {
    claim(): Promise<void>;
    matchAll(options: { type: 'window'; includeUncontrolled: true }): Promise<Client[]>;
    openWindow(url: string): Promise<unknown>;
  };
}
type Pushed = Waits & { data: { text(): string } | null };
type Clicked = Waits & { notification: Notification };
type Changed = Waits & { newSubscription?: PushSubscription | null };

const worker = self as unknown as Scope;
const pages = (): Promise<Client[]> => worker.clients.matchAll({ type: 'window', includeUncontrolled: true });

// A newer one takes over at once: there is nothing that two could disagree about.
worker.addEventListener('install', (event: Waits) => event.waitUntil(worker.skipWaiting()));
worker.addEventListener('activate', (event: Waits) => event.waitUntil(worker.clients.claim()));

worker.addEventListener('push', (event: Pushed) => event.waitUntil(tell(event.data?.text() ?? '')));

async function tell(text: string): Promise<void> {
  if (isSeen(await pages())) return;
  const notice = read(text);
  const { registration } = worker;
  const before = notice ? await registration.getNotifications({ tag: notice.tag }) : [];
  const [title, options] = shown(notice, before);
  await registration.showNotification(title, options);
}

worker.addEventListener('notificationclick', (event: Clicked) => {
  event.notification.close();
  event.waitUntil(open(event.notification));
});

async function open({ data }: Notification): Promise<void> {
  const { link } = (data ?? { link: '/' }) as { link: string };
  const page = pageFor(await pages());
  if (!page) {
    await worker.clients.openWindow(link);
    return;
  }
  page.postMessage({ open: link });
  await page.focus();
}

// The browser is told elsewhere from now on, and says so itself.
worker.addEventListener('pushsubscriptionchange', (event: Changed) =>
  event.waitUntil(moved(event.newSubscription ?? null)),
);

async function moved(given: PushSubscription | null): Promise<void> {
  const all: AllWanted = await allWanted();
  const [first] = Object.values(all);
  if (!first) return;
  const options = { userVisibleOnly: true, applicationServerKey: first.key };
  const subscription = given ?? (await worker.registration.pushManager.subscribe(options));
  for (const [commune, wanted] of Object.entries(all)) {
    const body = asked(subscription.toJSON(), wanted);
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify(body) };
    // One that is not there any more keeps nobody else from it; a page asks again when it is opened.
    if (body) await fetch(`/api/v1/communes/${commune}/push`, request).catch(() => null);
  }
}
