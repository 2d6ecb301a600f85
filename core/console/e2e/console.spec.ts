// The whole way in a real browser: a camera that we did not write, the router, the page.

import { expect, type Page, test } from '@playwright/test';
import { Commune, GstCamera, numberIn, plugin, Router, showBuilt } from './stand';

let first: GstCamera;
let second: GstCamera;
let commune: Commune;
let router: Router;

test.beforeAll(async () => {
  first = await new GstCamera().start();
  second = await new GstCamera().start();
  commune = new Commune();
  commune.cameras([
    ['cho', 'Chợ – ngã ba', first.url],
    ['cau', 'Đầu cầu', second.url],
  ]);
  router = await new Router().start(commune);
});

test.beforeEach(async ({ page }) => {
  await showBuilt(page);
});

test.afterAll(async () => {
  await router.stop();
  await first.kill();
  await second.kill();
});

function picture(page: Page, camera: string) {
  return page.locator(`[data-camera="thu/${camera}"]`);
}

const number = (page: Page, camera: string): Promise<number | null> =>
  numberIn(picture(page, camera).locator('video'));

async function rises(page: Page, camera: string): Promise<void> {
  await expect.poll(() => number(page, camera)).not.toBeNull();
  const before = (await number(page, camera)) ?? 0;
  await expect.poll(async () => (await number(page, camera)) ?? 0).toBeGreaterThan(before + 15);
}

test('the wall shows every camera live, in Vietnamese and in English', async ({ page }) => {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(router.page);
  for (const camera of ['cho', 'cau']) {
    await expect(picture(page, camera)).toHaveAttribute('data-state', 'live');
    await rises(page, camera);
  }
  await expect(page.getByRole('heading', { name: 'Trực tiếp' })).toBeVisible();
  await expect(page.getByText('Phường Thử Nghiệm')).toBeVisible();
  await page.getByTestId('language').click();
  await expect(page.getByRole('heading', { name: 'Live' })).toBeVisible();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  expect(errors).toEqual([]);
});

test('keyboard: move, open, statistics, back', async ({ page }) => {
  const refused: string[] = [];
  page.on('response', (r) => r.ok() || refused.push(`${r.request().method()} ${r.status()} ${r.url()}`));
  await page.goto(router.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('tile').nth(1)).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Đầu cầu' })).toBeVisible();
  const stats = page.getByTestId('stats');
  await expect(stats).toContainText('640 × 360');
  await expect(stats).toContainText('H.264');
  await expect(stats).toContainText(/\d+ ms/);
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('tile')).toHaveCount(2);
  await page.keyboard.press('1');
  await expect(page.getByTestId('tile')).toHaveCount(1);
  await page.keyboard.press('PageDown');
  await expect(picture(page, 'cau')).toHaveAttribute('data-state', 'live');
  await page.keyboard.press('0');
  await expect(page.getByTestId('tile')).toHaveCount(2);
  // The sessions that were left were told so, and nothing was asked for that is not there.
  expect(refused).toEqual([]);
});

test('on a phone', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(router.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  const box = await page.getByTestId('tile').first().boundingBox();
  expect(box?.width).toBeGreaterThan(370);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  await page.getByTestId('tile').first().click();
  await expect(page.getByTestId('stats')).toContainText('H.264');
});

test('a camera that freezes, dies and comes back is said as it is', async ({ page }) => {
  await page.goto(router.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  first.freeze(true);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'stalled');
  await expect(picture(page, 'cho')).toContainText('Mất hình');
  first.freeze(false);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');

  await first.kill();
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'offline');
  await expect(picture(page, 'cho').getByTestId('cause')).toBeVisible();
  await expect(picture(page, 'cau')).toHaveAttribute('data-state', 'live');
  await first.start();
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  await rises(page, 'cho');
});

test('configuration edited under load', async ({ page }) => {
  const third = await new GstCamera().start();
  await page.goto(router.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  const before = await number(page, 'cho');
  commune.cameras([
    ['cho', 'Chợ – ngã ba', first.url],
    ['cau', 'Đầu cầu', second.url],
    ['truong', 'Cổng trường', third.url],
  ]);
  await expect(picture(page, 'truong')).toHaveAttribute('data-state', 'live');
  commune.write('[commune]\nname = "Phường Thử Nghiệm"\n[camera.cho]\nmian = "x"\n');
  await expect(page.getByTestId('problems')).toContainText('did you mean `main`?');
  await expect(picture(page, 'truong')).toHaveAttribute('data-state', 'live');
  commune.cameras([
    ['cho', 'Chợ – ngã ba', first.url],
    ['cau', 'Đầu cầu', second.url],
  ]);
  await expect(page.getByTestId('tile')).toHaveCount(2);
  await expect(page.getByTestId('problems')).toHaveCount(0);
  // The first camera's number went on all the time: it was not touched.
  expect((await number(page, 'cho')) ?? 0).toBeGreaterThan(before ?? 0);
  await third.kill();
});

test('H.265 without a browser that plays it names the setting to change', async ({ page }) => {
  const h265 = await new GstCamera({ video: 'h265' }).start();
  const other = new Commune();
  other.cameras([['nha', 'Nhà', h265.url]]);
  const own = await new Router().start(other);
  await page.goto(own.page);
  await expect(picture(page, 'nha').getByTestId('cause')).toContainText('H.264');
  await own.stop();
  await h265.kill();
});

test('the router restarts: the page says so and connects again by itself', async ({ page }) => {
  const address = new URL(router.page).host;
  await page.goto(router.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  await router.stop();
  await expect(picture(page, 'cho')).not.toHaveAttribute('data-state', 'live', { timeout: 5000 });
  await expect(page.getByRole('status').first()).toBeVisible();
  router = await new Router().start(commune, address);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live', { timeout: 40_000 });
});

test('the router crashes: nobody says goodbye, and pictures are back as soon as it is', async ({ page }) => {
  const address = new URL(router.page).host;
  await page.goto(router.page);
  // Once with a page that notices that nobody answers, once with a router that is back before that.
  for (const away of [5000, 0]) {
    await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
    // Followed in the page: it may be live again before this test looks.
    const states = await picture(page, 'cho').evaluateHandle((element) => {
      const seen: (string | null)[] = [];
      new MutationObserver(() => seen.push(element.getAttribute('data-state'))).observe(element, {
        attributeFilter: ['data-state'],
      });
      return seen;
    });
    await router.stop('SIGKILL');
    if (away > 0) {
      await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'stalled', { timeout: 3000 });
      await expect(picture(page, 'cho').getByTestId('cause')).toHaveText('Máy chủ không trả lời.');
      await page.waitForTimeout(away);
    }
    router = await new Router().start(commune, address);
    await expect
      .poll(async () => (await states.jsonValue()).filter((state) => state !== 'live').length)
      .toBeGreaterThan(0);
    // The browser alone would take half a minute.
    await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live', { timeout: 12_000 });
  }
  await rises(page, 'cho');
});

test('no camera yet: how to add one', async ({ page }) => {
  const empty = new Commune();
  empty.write('[commune]\nname = "Xã Mới"\n');
  const own = await new Router().start(empty);
  await page.goto(own.page);
  await expect(page.getByText('commune.toml')).toBeVisible();
  // On a phone what is to be written scrolls within its box, and the words about it are all in sight.
  await page.setViewportSize({ width: 390, height: 780 });
  const pages = ['', '#/events/thu', '#/targets/thu', '#/plugins/thu'];
  const titles = ['Chưa có camera', 'Chưa có sự kiện', 'Chưa có nơi nhận', 'Chưa có tiện ích'];
  for (const [index, hash] of pages.entries()) {
    await page.goto(`${own.page}${hash}`);
    const box = page.locator('.empty', { hasText: titles[index] });
    const right = box.evaluate((element) => element.getBoundingClientRect().right);
    expect(await right, hash).toBeLessThanOrEqual(390);
  }
  await page.goto(`${own.page}#/`);
  empty.cameras([['cho', 'Chợ', first.url]]);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  await own.stop();
});

test('sound passes through as the camera sends it', async ({ page }) => {
  for (const audio of ['opus', 'pcma']) {
    const camera = await new GstCamera({ audio }).start();
    const other = new Commune();
    other.write(`[commune]\nname = "x"\n[camera.nha]\nmain = "${camera.url}"\naudio = true\n`);
    const own = await new Router().start(other);
    await page.goto(own.page);
    await expect(picture(page, 'nha')).toHaveAttribute('data-state', 'live');
    const received = () =>
      picture(page, 'nha')
        .locator('video')
        .evaluate((video: HTMLVideoElement) => {
          // A remote track is muted until its packets arrive.
          const tracks = (video.srcObject as MediaStream).getAudioTracks();
          return tracks.filter((track) => !track.muted).length;
        });
    // On the wall nobody hears it: it is not sent there.
    expect(await received()).toBe(0);
    await page.goto(`${own.page}#/camera/thu/nha`);
    await expect(picture(page, 'nha')).toHaveAttribute('data-state', 'live');
    await expect.poll(received).toBe(1);
    const codec = audio === 'opus' ? 'Opus' : 'PCMA';
    await expect(page.getByTestId('stats')).toContainText(codec);
    await own.stop();
    await camera.kill();
  }
});

test('a plugin: uploaded, seen on the picture, read, switched off', async ({ page }) => {
  test.setTimeout(240_000);
  const file = plugin('examples/plugins/grid');
  const other = new Commune();
  other.write(`[commune]
name = "Phường Thử Nghiệm"
[camera.cho]
title = "Chợ – ngã ba"
main = "${first.url}"
[plugin.grid]
component = "plugins/grid.wasm"
settings = { threshold = 0 }
grant = { frames = { width = 640, fps = 5 } }
`);
  const own = await new Router().start(other);
  await page.goto(own.page);
  await expect(picture(page, 'cho')).toHaveAttribute('data-state', 'live');
  await page.keyboard.press('p');
  await expect(page.getByRole('heading', { name: 'Tiện ích' })).toBeVisible();
  const card = page.getByTestId('plugin');
  await expect(card).toHaveAttribute('data-state', 'refused');
  await expect(page.getByTestId('plugin-error')).toContainText('no such file');

  // What was chosen says what it is and what it asks for before anything of it is loaded.
  const review = page.getByTestId('review');
  const text = { name: 'a.wasm', mimeType: 'application/wasm', buffer: Buffer.from('no') };
  await card.locator('input[type=file]').setInputFiles(text);
  await expect(card.getByRole('alert')).toContainText('WebAssembly');
  await card.locator('input[type=file]').setInputFiles(file);
  await expect(review).toContainText('frames = { width = 640, fps = 5 }');
  await expect(review).toContainText('đã cấp');
  await page.keyboard.press('Escape');
  await expect(review).toHaveCount(0);
  await expect(card).toHaveAttribute('data-state', 'refused');
  await card.locator('input[type=file]').setInputFiles(file);
  await expect(review.getByRole('button', { name: 'Nạp' })).toBeFocused();
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/review.png` });
  await page.keyboard.press('Enter');
  await expect(card).toHaveAttribute('data-state', 'running');
  await expect(card).toContainText('0.1.0');
  await card.getByRole('button', { name: 'Nhật ký' }).click();
  await expect(page.getByTestId('plugin-log')).toContainText('generation 1');
  // What it can be told, by the schema that it gives.
  await page.getByTestId('plugin-settings').locator('summary').click();
  const threshold = page.getByTestId('plugin-settings').getByRole('listitem').first();
  await expect(threshold).toHaveText(/^threshold số nguyên, 0 – 255, mặc định 6/);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/settings.png` });

  await page.keyboard.press('Escape');
  await page.getByTestId('tile').first().click();
  await expect(page.getByTestId('mark').first()).toBeVisible();
  // Once the page knows the session's clock, what was seen is drawn on the picture it was seen in.
  const behind = async () =>
    Number((await page.getByTestId('marks').getAttribute('data-behind')) ?? Number.NaN);
  await expect.poll(async () => Math.abs(await behind()), { intervals: [50] }).toBeLessThan(35);
  await page.keyboard.press('d');
  await expect(page.getByTestId('mark')).toHaveCount(0);
  await page.keyboard.press('d');

  await page.goto(`${own.page}#/plugins/thu`);
  await card.getByRole('button', { name: 'Tắt' }).click();
  await expect(card).toHaveAttribute('data-state', 'disabled');
  await card.getByRole('button', { name: 'Bật' }).click();
  await expect(card).toHaveAttribute('data-state', 'running');
  await own.stop();
});
