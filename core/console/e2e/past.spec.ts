// Recordings in a real browser: cameras that we did not write, recorded by the router while the test waits.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, type Locator, type Page, test } from '@playwright/test';
import { Commune, GstCamera, keys, numberIn, Router, showBuilt } from './stand';

const NAMES = ['cho', 'cau', 'truong', 'nha'];
/** What each test has to look at, in ms. */
const LEAST = 25_000;
/** What is shown for a moment is shown for that moment, in ms. */
const EXACT = 2;
/** Where a camera on a busy machine left pictures out, the closest one is shown, in ms. */
const CLOSE = 1500;
/** Seeks that are measured. */
const SEEKS = 24;

let cameras: GstCamera[];
let other: GstCamera;
let router: Router;
/** When the first camera was gone, and when it was back, in ms since 1970. */
let gap: { start: number; end: number };

interface Timelines {
  now: number;
  cameras: {
    camera: string;
    recorded: { start: number; end: number }[];
    gaps: { start: number; end: number; reason: string }[];
  }[];
}

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(`${router.page}api/v1/communes/thu/${path}`);
  return (await response.json()) as T;
}

async function timeline(camera: string): Promise<Timelines['cameras'][number]> {
  const now = Date.now() * 1000;
  const found = await ask<Timelines>(`recordings?from=${now - 600e6}&to=${now}&cameras=${camera}`);
  const [own] = found.cameras;
  if (!own) throw new Error(`${camera} is not there`);
  return own;
}

const length = (spans: { start: number; end: number }[]): number =>
  spans.reduce((sum, { start, end }) => sum + end - start, 0) / 1000;

test.beforeAll(async () => {
  test.setTimeout(240_000);
  cameras = await Promise.all(NAMES.map(() => new GstCamera().start()));
  other = await new GstCamera({ video: 'h265', rate: 5 }).start();
  const commune = new Commune();
  const sections = [...NAMES, 'kho'].map(
    (id, n) => `[camera.${id}]\ntitle = "Camera ${id}"\nmain = "${(cameras[n] ?? other).url}"\n`,
  );
  commune.write(`[commune]
name = "Phường Thử Nghiệm"
time-zone = "Asia/Ho_Chi_Minh"
[archive]
mode = "continuous"
[events]
camera-lost-after = "1s"
${sections.join('')}`);
  keys(commune);
  router = await new Router().start(commune);
  for (const camera of [...NAMES, 'kho']) {
    await expect
      .poll(async () => length((await timeline(camera)).recorded), { timeout: 120_000 })
      .toBeGreaterThan(LEAST);
  }
  // The first one is away for a while.
  const [first] = cameras;
  await first?.kill();
  const events = async (): Promise<number> =>
    (await ask<{ events: unknown[] }>('events?kind=camera-lost&camera=cho')).events.length;
  await expect.poll(events, { timeout: 30_000 }).toBe(1);
  await first?.start();
  const found = async () => (await timeline('cho')).gaps.find(({ reason }) => reason === 'camera-lost');
  const again = async (): Promise<number> => {
    const [lost, { recorded }] = [await found(), await timeline('cho')];
    return lost ? length(recorded.filter(({ start }) => start >= lost.end)) : 0;
  };
  await expect.poll(again, { timeout: 60_000 }).toBeGreaterThan(3000);
  const lost = await found();
  gap = { start: (lost?.start ?? 0) / 1000, end: (lost?.end ?? 0) / 1000 };
  expect(gap.end - gap.start).toBeGreaterThan(500);
});

test.afterAll(async () => {
  await router.stop();
  await Promise.all([...cameras, other].map((camera) => camera.kill()));
});

test.beforeEach(async ({ page }) => {
  await showBuilt(page);
  await page.addInitScript(() => localStorage.setItem('taimat.person', 'Lan'));
});

const picture = (page: Page, camera: string): Locator =>
  page.locator(`[data-testid=past-picture][data-camera=${camera}]`);
const number = (page: Page, camera: string): Promise<number | null> =>
  numberIn(picture(page, camera).locator('video'));
const at = async (page: Page): Promise<number> =>
  Number(await page.getByTestId('past-time').getAttribute('data-at'));
const bar = (page: Page): Locator => page.getByTestId('past-bar');

/** The page of a camera at a moment, with its picture; it stands still. */
async function open(page: Page, camera: string, moment: number): Promise<void> {
  await page.goto(`${router.page}#/camera/thu/${camera}?at=${Math.round(moment)}`);
  await expect(picture(page, camera)).toHaveAttribute('data-cover', 'none');
  await expect(page.getByTestId('timeline')).toHaveAttribute('data-known', 'true');
  await page.keyboard.press('k');
  await expect(bar(page)).toHaveAttribute('data-playing', 'false');
}

/** The picture on screen is that of the moment. */
async function settled(page: Page, camera: string, most = EXACT): Promise<void> {
  const off = async (): Promise<number> => {
    const place = await picture(page, camera)
      .locator('video')
      .evaluate((video: HTMLVideoElement) =>
        video.seeking ? 0 : Number(video.dataset.base) + video.currentTime * 1000,
      );
    return Math.abs((await at(page)) - place);
  };
  await expect.poll(off, { intervals: [50] }).toBeLessThan(most);
}

async function shot(page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
}

async function fits(page: Page, width: number): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
}

test('the line is dragged back, the picture follows, and it is live again by a key', async ({ page }) => {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${router.page}#/camera/thu/cau`);
  await expect(page.locator('[data-camera="thu/cau"]')).toHaveAttribute('data-state', 'live');
  const line = page.getByTestId('timeline');
  await expect(line).toHaveAttribute('data-known', 'true');
  await expect(bar(page)).toHaveAttribute('data-live', 'true');
  await shot(page, 'past-live');
  const box = await line.boundingBox();
  if (!box) throw new Error('the line is not there');
  const [x, y] = [box.x + box.width / 2, box.y + box.height - 8];
  await page.mouse.move(x, y);
  await page.mouse.down();
  const before = await at(page);
  // Ten minutes are as wide as the line: about fifteen seconds back.
  await page.mouse.move(x + box.width / 40, y, { steps: 6 });
  await expect(bar(page)).toHaveAttribute('data-live', 'false');
  await settled(page, 'cau', CLOSE);
  const dragged = await at(page);
  expect(before - dragged).toBeGreaterThan(10_000);
  await page.mouse.up();
  // It plays on from there.
  await expect(bar(page)).toHaveAttribute('data-playing', 'true');
  const first = await number(page, 'cau');
  await expect.poll(async () => (await number(page, 'cau')) ?? 0).toBeGreaterThan((first ?? 0) + 15);
  await shot(page, 'past-playing');
  await page.keyboard.press('End');
  await expect(bar(page)).toHaveAttribute('data-live', 'true');
  await expect(page.locator('[data-camera="thu/cau"]')).toHaveAttribute('data-state', 'live');
  expect(errors).toEqual([]);
});

test('picture by picture, by seconds, and at other speeds', async ({ page }) => {
  await open(page, 'cau', Date.now() - 20_000);
  await settled(page, 'cau', CLOSE);
  // From here on the moment is that of a picture.
  await page.keyboard.press('.');
  await settled(page, 'cau');
  const begin = await number(page, 'cau');
  expect(begin).not.toBeNull();
  for (const [key, by] of [
    ['.', 1],
    ['.', 2],
    [',', 1],
    [',', 0],
    [',', -1],
  ] as const) {
    await page.keyboard.press(key);
    await expect.poll(() => number(page, 'cau'), { message: key, intervals: [50] }).toBe((begin ?? 0) + by);
  }
  const moment = await at(page);
  await page.keyboard.press('ArrowLeft');
  await expect.poll(() => at(page)).toBeCloseTo(moment - 1000, 0);
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => at(page)).toBeCloseTo(moment, 0);
  await settled(page, 'cau', CLOSE);
  // Twice as fast, and then four times.
  await page.keyboard.press('Space');
  await expect(bar(page)).toHaveAttribute('data-playing', 'true');
  await page.keyboard.press('l');
  await page.keyboard.press('l');
  await expect(page.getByRole('combobox', { name: 'Tốc độ' })).toHaveValue('4');
  const video = picture(page, 'cau').locator('video');
  await expect.poll(() => video.evaluate((video: HTMLVideoElement) => video.playbackRate)).toBeGreaterThan(2);
  // At the end of what there is, it goes on as fast as it is recorded.
  await page.keyboard.press('End');
  await expect(bar(page)).toHaveAttribute('data-live', 'true');
  await page.keyboard.press('ArrowLeft');
  await expect(bar(page)).toHaveAttribute('data-playing', 'true');
  await page.keyboard.press('l');
  await expect(page.getByRole('combobox', { name: 'Tốc độ' })).toHaveValue('1', { timeout: 30_000 });
  await page.keyboard.press('k');
  await page.keyboard.press('j');
  await expect(page.getByRole('combobox', { name: 'Tốc độ' })).toHaveValue('0.5');
});

test('from the click to the picture', async ({ page }) => {
  test.setTimeout(120_000);
  const { recorded } = await timeline('cau');
  const from = (recorded[0]?.start ?? 0) / 1000 + 1000;
  await open(page, 'cau', from + 5000);
  const line = page.getByTestId('timeline');
  const box = await line.boundingBox();
  if (!box) throw new Error('the line is not there');
  await page.evaluate((most) => {
    const seeks: number[] = [];
    let pressed: number | null = null;
    addEventListener('pointerup', () => (pressed = performance.now()), true);
    const video = document.querySelector<HTMLVideoElement>('[data-testid=past-picture] video');
    const time = document.querySelector<HTMLElement>('[data-testid=past-time]');
    if (!video || !time) throw new Error('no picture');
    new MutationObserver(() => {
      const place = Number(video.dataset.base) + video.currentTime * 1000;
      if (pressed === null || Math.abs(place - Number(time.dataset.at)) > most) return;
      seeks.push(performance.now() - pressed);
      pressed = null;
    }).observe(video, { attributeFilter: ['data-shown'] });
    Object.assign(window, { seeks });
  }, CLOSE);
  const seeks = (): Promise<number[]> =>
    page.evaluate(() => (window as unknown as { seeks: number[] }).seeks);
  for (let n = 0; n < SEEKS; n += 1) {
    const before = (await seeks()).length;
    const now = await at(page);
    const to = Date.now() - 6000;
    // Far from the one before: three of five are in another part of what there is.
    const wanted = from + (((n * 0.382) % 1) * 0.98 + 0.01) * (to - from);
    await page.mouse.click(
      box.x + box.width / 2 + ((wanted - now) / 600_000) * box.width,
      box.y + box.height - 8,
    );
    // Where a camera that starves sent nothing to begin with, none comes.
    const came = page.waitForFunction(
      (before) => (window as unknown as { seeks: number[] }).seeks.length > before,
      before,
      { timeout: 4000 },
    );
    await came.catch(() => undefined);
  }
  const sorted = (await seeks()).map(Math.round).sort((a, b) => a - b);
  const of = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  console.log(
    `click to picture in ms: ${sorted.length} of ${SEEKS}; p50 ${of(0.5)}, p95 ${of(0.95)}, most ${of(1)}; ${sorted.join(', ')}`,
  );
  expect(sorted.length).toBeGreaterThan(SEEKS / 2);
  expect(of(0.5)).toBeLessThan(3000);
});

test('what is missing is said with its reason, and no other picture is shown for it', async ({ page }) => {
  await page.goto(`${router.page}#/camera/thu/cho?at=${Math.round((gap.start + gap.end) / 2)}`);
  await expect(picture(page, 'cho')).toHaveAttribute('data-cover', 'missing');
  await expect(picture(page, 'cho').getByTestId('gap-reason')).toHaveText('Camera không gửi hình.');
  await expect(picture(page, 'cho').locator('video')).toBeHidden();
  await shot(page, 'past-gap');
  // It goes on with what was recorded next, by itself.
  await expect(picture(page, 'cho')).toHaveAttribute('data-cover', 'none');
  expect(await at(page)).toBeGreaterThanOrEqual(gap.end - 1);
  await page.keyboard.press('k');
  for (let n = 0; n < 3; n += 1) await page.keyboard.press('+');
  const bars = page.locator('[data-testid=gap][data-reason=camera-lost]');
  await expect(bars.first()).toBeVisible();
  await bars.first().hover({ force: true });
  await expect(page.getByTestId('tip')).toContainText('Camera không gửi hình.');
  await bars.first().focus();
  await expect(page.getByTestId('tip')).toContainText('Camera không gửi hình.');
  await shot(page, 'past-tip');
});

test('what is kept elsewhere only is said to be fetched, and is shown when it is there', async ({ page }) => {
  // As the router answers when all of it is in a bucket.
  await page.route('**/communes/thu/recordings?**', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as Timelines;
    const spans = answer.cameras.flatMap(({ recorded }) => recorded);
    for (const span of spans) Object.assign(span, { elsewhere: true });
    await route.fulfill({ response, json: answer });
  });
  let [asked, fetched] = [0, false];
  await page.route('**/recordings/segments/**', async (route) => {
    asked += 1;
    if (fetched) return route.continue();
    const problem = { type: '/problems/fetching', title: 'Being fetched', status: 503, detail: '' };
    return route.fulfill({ status: 503, headers: { 'retry-after': '2' }, json: problem });
  });
  await page.goto(`${router.page}#/camera/thu/cho?at=${Math.round(gap.end + 1500)}`);
  await expect(picture(page, 'cho')).toHaveAttribute('data-cover', 'elsewhere');
  await expect(picture(page, 'cho')).toContainText('đang lưu ở nơi khác');
  await expect(picture(page, 'cho').locator('video')).toBeHidden();
  const moment = await at(page);
  await expect.poll(() => asked, { timeout: 15_000 }).toBeGreaterThan(3);
  // It waits there meanwhile.
  expect((await at(page)) - moment).toBeLessThan(500);
  fetched = true;
  await expect(picture(page, 'cho')).toHaveAttribute('data-cover', 'none');
});

test('from the line to the event, and from the event to its moment', async ({ page }) => {
  await open(page, 'cho', gap.start - 2000);
  const mark = page.getByTestId('timeline-event').first();
  await expect(mark).toHaveAttribute('title', /Mất kết nối camera|Camera/);
  await mark.click();
  await expect(page.getByTestId('event-page')).toBeVisible();
  await page.getByTestId('see-recording').click();
  await expect(picture(page, 'cho')).toHaveAttribute('data-cover', 'none');
  await expect(bar(page)).toHaveAttribute('data-playing', 'true');
  // Ten seconds before it began.
  const [event] = (await ask<{ events: { began: number }[] }>('events?kind=camera-lost&camera=cho')).events;
  const before = (event?.began ?? 0) / 1000 - (await at(page));
  expect(before).toBeGreaterThan(2000);
  expect(before).toBeLessThan(11_000);
});

test('four cameras in step', async ({ page }) => {
  await page.goto(`${router.page}#/past/thu?cameras=${NAMES.join(',')}&at=${Date.now() - 20_000}`);
  for (const camera of NAMES.slice(1)) {
    await expect(picture(page, camera)).toHaveAttribute('data-cover', 'none');
  }
  await expect(bar(page)).toHaveAttribute('data-playing', 'true');
  await shot(page, 'past-several');
  const apart = (): Promise<number | null> =>
    page.evaluate(() => {
      const all = [...document.querySelectorAll<HTMLElement>('[data-testid=past-picture]')];
      const shown = all.filter(({ dataset }) => dataset.cover === 'none');
      const times = shown.map((one) => (one.querySelector('video')?.currentTime ?? 0) * 1000);
      return times.length < 3 ? null : Math.max(...times) - Math.min(...times);
    });
  const spreads: number[] = [];
  await expect
    .poll(
      async () => {
        const spread = await apart();
        if (spread !== null) spreads.push(spread);
        return spreads.length;
      },
      { intervals: [100] },
    )
    .toBeGreaterThan(40);
  const sorted = spreads.map((ms) => Math.round(ms)).sort((a, b) => a - b);
  const of = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  console.log(`cameras apart in ms: p50 ${of(0.5)}, p95 ${of(0.95)}, most ${of(1)}`);
  expect(of(0.5)).toBeLessThan(400);
  // Standing still, all show the same moment, and step together.
  await page.keyboard.press('k');
  for (const camera of NAMES.slice(1)) await settled(page, camera, CLOSE);
  // Another choice of cameras stays at the moment.
  const moment = await at(page);
  await page.getByText('Camera: 4, nhiều nhất 9').click();
  await page.getByRole('checkbox', { name: 'Camera nha' }).click();
  await expect(page.getByTestId('past-picture')).toHaveCount(3);
  expect(await at(page)).toBeCloseTo(moment, 0);
});

test('H.265 that the browser can not play is there to be downloaded', async ({ page }) => {
  await page.goto(`${router.page}#/camera/thu/kho?at=${Date.now() - 15_000}`);
  await expect(picture(page, 'kho')).toHaveAttribute('data-cover', 'unplayable');
  await expect(picture(page, 'kho')).toContainText(/hvc1|hev1/);
  const link = picture(page, 'kho').getByRole('link', { name: 'Tải về một phút quanh thời điểm này' });
  await page.keyboard.press('k');
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  expect(readFileSync(await download.path()).toString('latin1', 4, 8)).toBe('ftyp');
});

test('an interval is chosen, held, listed and released', async ({ page }) => {
  await open(page, 'truong', Date.now() - 20_000);
  await page.keyboard.press('c');
  const panel = page.getByTestId('cut-panel');
  await expect(panel).toBeVisible();
  const from = page.getByTestId('cut-from');
  const before = Number(await from.getAttribute('data-at'));
  await from.press('ArrowRight');
  await expect.poll(async () => Number(await from.getAttribute('data-at'))).toBe(before + 1000);
  const box = await from.boundingBox();
  if (!box) throw new Error('no handle');
  await page.mouse.move(box.x + box.width / 2, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 10, box.y + 20, { steps: 3 });
  await page.mouse.up();
  await expect.poll(async () => Number(await from.getAttribute('data-at'))).toBeGreaterThan(before + 2000);
  await expect(page.getByTestId('comes')).toContainText('đã ghi');
  await panel.getByRole('button', { name: 'Lưu giữ', exact: true }).first().click();
  await panel.getByRole('textbox', { name: 'Lý do' }).fill('Vụ trộm xe đạp');
  await panel.getByRole('textbox', { name: 'Số hồ sơ' }).fill('12/2026');
  await shot(page, 'past-hold');
  await panel.locator('button[type=submit]').click();
  await expect(page.getByTestId('held')).toBeVisible();
  await page.getByTestId('held').getByRole('link').click();
  const hold = page.getByTestId('hold');
  await expect(hold).toContainText('Vụ trộm xe đạp');
  await expect(hold).toContainText('Lan');
  await shot(page, 'storage');
  await hold.getByRole('button', { name: 'Bỏ lưu giữ' }).click();
  await hold.getByRole('textbox').fill('Đã bàn giao');
  await page.keyboard.press('Enter');
  await expect(hold).toHaveCount(0);
});

test('the storage page says what there is of each camera', async ({ page }) => {
  await page.goto(`${router.page}#/`);
  await page.getByRole('navigation', { name: 'Các trang' }).getByRole('link', { name: 'Lưu trữ' }).click();
  await expect(page.getByTestId('storage-camera')).toHaveCount(5);
  const camera = page.locator('[data-testid=storage-camera][data-camera=cau]');
  await expect(camera).toContainText('liên tục');
  await expect(camera).toContainText(/[1-9]\d* (giây|phút)/);
  await expect(page.getByRole('meter')).toBeVisible();
  await expect(page.locator('[data-store=local]')).toContainText('Ổ đĩa này');
});

test('an export has a reason, a case and a name, and is downloaded', async ({ page }) => {
  await open(page, 'cau', Date.now() - 20_000);
  await page.getByTestId('cut').click();
  const panel = page.getByTestId('cut-panel');
  const send = panel.locator('button[type=submit]');
  await expect(send).toBeDisabled();
  await panel.getByRole('textbox', { name: 'Lý do' }).fill('Va chạm giao thông');
  await expect(send).toBeDisabled();
  await panel.getByRole('textbox', { name: 'Số hồ sơ' }).fill('34/2026');
  await send.click();
  const file = page.getByTestId('exported-file');
  await expect(file).toHaveCount(1);
  await shot(page, 'past-export');
  const [download] = await Promise.all([page.waitForEvent('download'), file.click()]);
  expect(download.suggestedFilename()).toMatch(/\.mp4$/);
  expect(readFileSync(await download.path()).toString('latin1', 4, 8)).toBe('ftyp');
  // All of it as one, for several cameras and for one: signed, and to its last byte.
  const folder = page.getByTestId('exported-folder');
  const [whole] = await Promise.all([page.waitForEvent('download'), folder.click()]);
  expect(whole.suggestedFilename()).toMatch(/\.zip$/);
  const said = execFileSync('unzip', ['-tqq', await whole.path()]).toString();
  expect(said).toBe('');
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true });

  test('a finger drags the line, and nothing is wider than the screen', async ({ page }) => {
    await open(page, 'cau', Date.now() - 15_000);
    await fits(page, 390);
    const line = page.getByTestId('timeline');
    const box = await line.boundingBox();
    if (!box) throw new Error('the line is not there');
    const before = await at(page);
    const devtools = await page.context().newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', x: number) =>
      devtools.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: type === 'touchEnd' ? [] : [{ x, y: box.y + box.height - 12 }],
      });
    await touch('touchStart', 195);
    for (let x = 197; x <= 205; x += 2) await touch('touchMove', x);
    await touch('touchEnd', 205);
    await expect.poll(async () => before - (await at(page))).toBeGreaterThan(3000);
    await settled(page, 'cau', CLOSE);
    await shot(page, 'past-phone');
    for (const button of await bar(page).getByRole('button').all()) {
      const size = await button.boundingBox();
      expect(Math.min(size?.width ?? 0, size?.height ?? 0)).toBeGreaterThanOrEqual(40);
    }
    await page.getByTestId('cut').click();
    await expect(page.getByTestId('cut-panel')).toBeVisible();
    await fits(page, 390);
    await page.goto(`${router.page}#/past/thu?cameras=cau,truong&at=${Date.now() - 15_000}`);
    await expect(picture(page, 'truong')).toHaveAttribute('data-cover', 'none');
    await fits(page, 390);
    await shot(page, 'past-phone-several');
    await page.goto(`${router.page}#/storage/thu`);
    await expect(page.getByTestId('storage-camera').first()).toBeVisible();
    await fits(page, 390);
    await shot(page, 'storage-phone');
  });
});
