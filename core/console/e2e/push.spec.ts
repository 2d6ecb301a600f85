// Notifications for a closed page: asked for in the page, shown by the service worker, with the router. Only
// the browser maker's service is missing, which no test can use: its address is made up, and what the router
// would send by it is given to the browser as the service gives it.

import { expect, type BrowserContext, type CDPSession, type Page, test } from '@playwright/test';
import type { components } from '../src/lib/api';
import { Commune, Router } from './stand';

type TargetsView = components['schemas']['TargetsView'];
type BrowserView = components['schemas']['BrowserView'];

const ENDPOINT = 'https://push.example.net/send/one';
const EVENT = '01m8b2qnex50956mdjw56n5zqm';
const HEAD = `[commune]
name = "Phường Thử Nghiệm"
[camera.cho]
title = "Chợ – ngã ba"
main = "rtsp://127.0.0.1:9/none"
run = "on-demand"
`;

let router: Router;
const commune = new Commune();

test.beforeAll(async () => {
  commune.write(`target.browsers = { title = "Trình duyệt", alerter = "push" }\n${HEAD}`);
  router = await new Router().start(commune);
});

test.afterAll(() => router.stop());

/** The browser has an address from its maker: this one, with the keys of RFC 8291. */
async function atService(page: Page): Promise<void> {
  await page.addInitScript((endpoint) => {
    let current: unknown = null;
    const make = ({ applicationServerKey }: { applicationServerKey: string }): unknown => {
      const bytes = atob(applicationServerKey.replaceAll('-', '+').replaceAll('_', '/'));
      const key = Uint8Array.from(bytes, (letter) => letter.charCodeAt(0)).buffer;
      const p256dh =
        'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4';
      return {
        endpoint,
        options: { applicationServerKey: key },
        toJSON: () => ({ endpoint, keys: { p256dh, auth: 'BTBZMqHH6r4Tts7J_aSIgg' } }),
        unsubscribe: () => {
          current = null;
          return Promise.resolve(true);
        },
      };
    };
    Object.assign(PushManager.prototype, {
      getSubscription: () => Promise.resolve(current),
      subscribe: (options: { applicationServerKey: string }) => Promise.resolve((current = make(options))),
    });
    localStorage.setItem('taimat.person', 'Lan');
  }, ENDPOINT);
}

async function allow(context: BrowserContext): Promise<void> {
  await context.grantPermissions(['notifications'], { origin: new URL(router.page).origin });
}

async function bell(page: Page): Promise<void> {
  await page.goto(`${router.page}#/events/thu`);
  await page.getByRole('button', { name: 'Chuông báo', exact: true }).click();
}

async function browsers(page: Page): Promise<BrowserView[]> {
  const answer = await page.request.get(`${router.page}api/v1/communes/thu/targets`);
  const { targets } = (await answer.json()) as TargetsView;
  return targets[0]?.browsers ?? [];
}

test('somebody switches it on, is listed, and switches it off', async ({ page, context }) => {
  await allow(context);
  await atService(page);
  await bell(page);
  const push = page.getByTestId('push');
  await expect(push).toHaveAttribute('data-standing', 'canAsk');
  await push.getByRole('button', { name: 'Báo cho tôi cả khi đóng trang này' }).click();
  await expect(push).toHaveAttribute('data-standing', 'on');
  const [one, ...others] = await browsers(page);
  expect(others).toEqual([]);
  expect(one).toMatchObject({
    name: 'browsers/1',
    who: 'Lan',
    wants: { at_least: 'warning', language: 'vi' },
  });
  // Of less, from now on; it stays the same browser.
  await push.getByRole('combobox').selectOption('alarm');
  await expect.poll(async () => (await browsers(page))[0]?.wants.at_least).toBe('alarm');
  expect((await browsers(page))[0]?.number).toBe(one?.number);
  // A page that is opened asks anew: the router may have lost it.
  await page.request.delete(`${router.page}api/v1/communes/thu/push/1`);
  expect(await browsers(page)).toEqual([]);
  await page.reload();
  await expect.poll(async () => (await browsers(page))[0]?.who).toBe('Lan');

  await page.goto(`${router.page}#/targets/thu`);
  await expect(page.getByTestId('browser')).toContainText('Lan, từ mức “Báo động”');
  await bell(page);
  await expect(push).toHaveAttribute('data-standing', 'on');
  await push.getByRole('button', { name: 'Đang báo cả khi đóng trang này' }).click();
  await expect(push).toHaveAttribute('data-standing', 'canAsk');
  expect(await browsers(page)).toEqual([]);
});

test('what is in the way is said', async ({ page, context }) => {
  await atService(page);
  await bell(page);
  const push = page.getByTestId('push');
  await context.clearPermissions();
  await push.getByRole('button', { name: 'Báo cho tôi cả khi đóng trang này' }).click();
  await expect(push).toHaveAttribute('data-standing', 'denied');
  await expect(page.getByTestId('bell-panel')).toContainText(
    'Trình duyệt không cho trang này hiện thông báo',
  );
  expect(await browsers(page)).toEqual([]);
  // Taken out of the file, it is not offered any more.
  commune.write(HEAD);
  await expect
    .poll(async (): Promise<unknown> => {
      const answer = await page.request.get(`${router.page}api/v1/communes/thu/push`);
      return (await answer.json()) as unknown;
    })
    .toMatchObject({ target: null, public_key: null });
  await page.reload();
  await page.getByRole('button', { name: 'Chuông báo', exact: true }).click();
  await expect(push).toHaveAttribute('data-standing', 'notOffered');
  await expect(push).toContainText('target.browsers = { alerter = "push" }');
});

/** Gives the service worker what its maker's service would. */
class Service {
  #registration = '';

  private constructor(private readonly session: CDPSession) {}

  static async of(page: Page): Promise<Service> {
    const session = await page.context().newCDPSession(page);
    const service = new Service(session);
    session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      service.#registration = registrations.at(-1)?.registrationId ?? service.#registration;
    });
    await session.send('ServiceWorker.enable');
    await expect.poll(() => service.#registration).not.toBe('');
    return service;
  }

  async deliver(notice: object): Promise<void> {
    const { origin } = new URL(router.page);
    const data = JSON.stringify(notice);
    const registrationId = this.#registration;
    await this.session.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
  }
}

/** As `core/events/src/push/notice.rs` writes it. */
const NOTICE = {
  version: 1,
  commune: 'thu',
  tag: EVENT,
  title: '⚠️ Đổ rác trái phép – Chợ – ngã ba',
  body: '22:38, độ tin cậy 90%\nPhường Thử Nghiệm',
  language: 'vi',
  severity: 'warning',
  quiet: false,
  at: 1_803_915_485_000,
  link: `/#/event/thu/${EVENT}`,
  picture: null,
};

interface OnScreen {
  title: string;
  body: string;
  tag: string;
  silent: boolean | null;
}

test('a notification is shown, replaced by its end, and leads to the event', async ({ page, context }) => {
  await allow(context);
  await page.goto(router.page);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js');
    await navigator.serviceWorker.ready;
  });
  const [worker] = context.serviceWorkers();
  if (!worker) throw new Error('no service worker');
  expect(worker.url()).toBe(`${router.page}sw.js`);
  const shown = (): Promise<OnScreen[]> =>
    worker.evaluate(async () => {
      const { registration } = self as unknown as { registration: ServiceWorkerRegistration };
      const all = await registration.getNotifications();
      return all.map(({ title, body, tag, silent }) => ({ title, body, tag, silent }));
    });
  const service = await Service.of(page);
  // In sight, the page shows it by itself.
  await service.deliver(NOTICE);
  await page.waitForTimeout(500);
  expect(await shown()).toEqual([]);

  // No page of ours any more: the tab is elsewhere.
  await page.goto('about:blank');
  await service.deliver(NOTICE);
  await expect.poll(shown).toMatchObject([{ title: NOTICE.title, body: NOTICE.body, tag: EVENT }]);
  const over = '✅ Đổ rác trái phép – Chợ – ngã ba';
  await service.deliver({ ...NOTICE, title: over, quiet: true });
  await expect.poll(shown).toMatchObject([{ title: over, tag: EVENT, silent: true }]);
  // Another event is another notification.
  await service.deliver({ ...NOTICE, tag: `${EVENT}a`, link: '/#/events/thu' });
  await expect.poll(async () => (await shown()).length).toBe(2);

  // With a page open, a click shows the event there.
  await page.goto(router.page);
  await worker.evaluate(async (tag) => {
    const worker = self as unknown as { registration: ServiceWorkerRegistration } & EventTarget;
    const [notification] = await worker.registration.getNotifications({ tag });
    const clicked = Object.assign(new Event('notificationclick'), {
      notification,
      waitUntil: (done: Promise<unknown>) => void done.catch(() => undefined),
    });
    worker.dispatchEvent(clicked);
  }, EVENT);
  await expect(page).toHaveURL(`${router.page}#/event/thu/${EVENT}`);
  await expect.poll(async () => (await shown()).map(({ tag }) => tag)).toEqual([`${EVENT}a`]);
});
