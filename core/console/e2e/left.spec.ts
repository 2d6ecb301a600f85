// A page that is left ends what it had, at once, and begins anew if somebody comes back to it.

import { expect, type Page, test } from '@playwright/test';
import config from '../playwright.config';
import { Commune, DrawnCameras, GstCamera, Router, showBuilt } from './stand';

// As people have it: what tests are run with does not keep pages that are left.
test.use({
  launchOptions: { ...config.use?.launchOptions, ignoreDefaultArgs: ['--disable-back-forward-cache'] },
});

const DESK = { width: 1280, height: 720 };
const PHONE = { width: 390, height: 844 };

test('a tab that is closed ends its sessions at once, and the wall of sixteen all of them', async ({
  context,
}) => {
  test.setTimeout(180_000);
  const names = Array.from({ length: 16 }, (_, i) => `camera-${i + 1}`);
  const drawn = await new DrawnCameras().start(
    ...['--cameras', '16', '--size', '320x180', '--rate', '5', '--bitrate', '100000'],
    ...['--length', '4s', '--scenes', 'street'],
  );
  const many = new Commune();
  many.cameras(names.map((name) => [name, name, drawn.url(name)]));
  const own = await new Router().start(many);
  try {
    for (const [size, leave] of [
      [DESK, (page: Page) => page.close({ runBeforeUnload: true })],
      [PHONE, (page: Page) => page.goto('about:blank')],
    ] as const) {
      const page = await context.newPage();
      await page.setViewportSize(size);
      await showBuilt(page);
      await page.goto(own.page);
      await expect(page.locator('[data-state="live"]')).toHaveCount(16, { timeout: 60_000 });
      expect(await own.sessions()).toBe(16);
      const began = Date.now();
      await leave(page);
      await expect.poll(() => own.sessions(), { intervals: [50], timeout: 5000 }).toBe(0);
      test.info().annotations.push({ type: 'ended', description: `${Date.now() - began} ms` });
    }
  } finally {
    await own.stop();
    drawn.stop();
  }
});

test('a page that is put aside ends its session, and goes on where somebody comes back to it', async ({
  page,
}) => {
  const camera = await new GstCamera().start();
  const commune = new Commune();
  commune.cameras([['cho', 'Chợ – ngã ba', camera.url]]);
  const router = await new Router().start(commune);
  await showBuilt(page);
  await page.goto(router.page);
  const picture = page.locator('[data-camera="thu/cho"]');
  await expect(picture).toHaveAttribute('data-state', 'live', { timeout: 30_000 });
  await page.evaluate(() => {
    const kept: boolean[] = [];
    addEventListener('pageshow', ({ persisted }) => kept.push(persisted));
    Object.assign(window, { kept });
  });
  await page.goto(`${router.page}healthz`);
  await expect.poll(() => router.sessions(), { intervals: [50], timeout: 5000 }).toBe(0);
  await page.goBack({ waitUntil: 'commit' });
  // The very same page, not a new one.
  await expect
    .poll(() => page.evaluate(() => (window as unknown as { kept?: boolean[] }).kept))
    .toEqual([true]);
  await expect(picture).toHaveAttribute('data-state', 'live', { timeout: 30_000 });
  expect(await router.sessions()).toBe(1);
  await router.stop();
  await camera.kill();
});
