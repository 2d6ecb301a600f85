// The number that is drawn in every picture and what the page says of it, read together while things go
// wrong: live is never said of a number that has stood for a second.

import { expect, type Locator, type Page, test } from '@playwright/test';
import { Commune, GstCamera, Router, showBuilt } from './stand';

interface Sample {
  /** When, in the page's ms. */
  at: number;
  /** What is drawn; null where it can not be read. */
  number: number | null;
  label: string | null;
}

/** Nothing else is done between the two, so that a page that is slow is slow for both. */
const SAMPLE_MS = 50;
/** The number is looked at now and then: it may have come so much earlier than it was seen. */
const STOOD_MS = 1000;

/** Reads both in the page until it is asked for what was read. */
async function watch(picture: Locator): Promise<() => Promise<Sample[]>> {
  const samples = await picture.evaluateHandle((element, every) => {
    const all: Sample[] = [];
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const read = (video: HTMLVideoElement | null): number | null => {
      if (!video || !context || video.videoWidth === 0) return null;
      const [width, height] = [video.videoWidth, Math.ceil(video.videoWidth / 64)];
      canvas.width = width;
      canvas.height = height;
      context.drawImage(video, 0, 0);
      const { data } = context.getImageData(0, height >> 1, width, 1);
      let bits = '';
      for (let i = 0; i < 32; i += 1) {
        const x = Math.floor(((i + 0.5) * width) / 32);
        bits += (data[x * 4] ?? 0) > 125 ? '1' : '0';
      }
      const [value, check] = [parseInt(bits.slice(0, 24), 2), parseInt(bits.slice(24), 2)];
      const sum = (value >> 16) + ((value >> 8) & 255) + (value & 255) + 0xa5;
      return (sum & 255) === check ? value : null;
    };
    setInterval(() => {
      const number = read(element.querySelector('video'));
      all.push({ at: performance.now(), number, label: element.getAttribute('data-state') });
    }, every);
    return all;
  }, SAMPLE_MS);
  return () => samples.jsonValue();
}

/** What was called live although its number had stood for too long, or could not be read for as long. */
function lies(samples: Sample[]): Sample[] {
  let [number, since] = [null as number | null, samples[0]?.at ?? 0];
  return samples.filter((sample) => {
    if (sample.number !== null && sample.number !== number) [number, since] = [sample.number, sample.at];
    return sample.label === 'live' && sample.at - since > STOOD_MS;
  });
}

test('what counts as a lie', () => {
  const of = (label: string, ...numbers: (number | null)[]): Sample[] =>
    numbers.map((number, i) => ({ at: i * 500, number, label }));
  expect(lies(of('live', 1, 2, 3, 4, 5))).toEqual([]);
  expect(lies(of('live', 1, 1, 1, 2, 2, 2))).toEqual([]);
  expect(lies(of('live', 1, 2, 2, 2, 2))).toHaveLength(1);
  expect(lies(of('aged', 1, 2, 2, 2, 2))).toEqual([]);
  // Black, or another picture altogether.
  expect(lies(of('live', 1, null, null, null))).toHaveLength(1);
});

let camera: GstCamera;
let router: Router;

test.afterEach(async () => {
  await (router as Router | undefined)?.stop();
  await (camera as GstCamera | undefined)?.kill();
});

for (const [name, size, path] of [
  ['the wall at a desk', { width: 1280, height: 720 }, ''],
  ['a camera’s page on a phone', { width: 390, height: 844 }, '#/camera/thu/cho'],
] as const) {
  test(`${name}: never live over a picture that stands`, async ({ page }) => {
    test.setTimeout(300_000);
    camera = await new GstCamera().start();
    const commune = new Commune();
    commune.cameras([['cho', 'Chợ – ngã ba', camera.url]]);
    router = await new Router().start(commune);
    const address = new URL(router.page).host;
    await showBuilt(page);
    await page.setViewportSize(size);
    await page.goto(`${router.page}${path}`);
    const picture = page.locator('[data-camera="thu/cho"]');
    const live = (): Promise<void> =>
      expect(picture).toHaveAttribute('data-state', 'live', { timeout: 40_000 });
    await live();
    const samples = await watch(picture);
    const wait = (ms: number): Promise<void> => page.waitForTimeout(ms);

    const wrong: [string, () => Promise<void>][] = [
      ['the camera stands still', () => frozen(camera, wait)],
      [
        'the camera stops and is started',
        async () => {
          await camera.kill();
          await wait(4000);
          await camera.start();
        },
      ],
      ['the router stands still', () => frozen(router, wait)],
      [
        'the router crashes',
        async () => {
          await router.stop('SIGKILL');
          await wait(4000);
          router = await new Router().start(commune, address);
        },
      ],
      [
        'the router is started again',
        async () => {
          await router.stop();
          router = await new Router().start(commune, address);
        },
      ],
      ['the page’s network is away', () => offline(page, wait)],
      [
        'the page’s network goes, then the camera',
        async () => {
          await page.context().setOffline(true);
          await frozen(camera, wait);
          await page.context().setOffline(false);
        },
      ],
    ];
    const shares: string[] = [];
    for (const [what, happens] of wrong) {
      const from = (await samples()).length;
      await happens();
      await live();
      await wait(2000);
      const during = (await samples()).slice(from);
      expect(lies(during), what).toEqual([]);
      const share = during.filter(({ label }) => label === 'live').length / during.length;
      shares.push(`${what}: ${during.length} looks, live in ${Math.round(share * 100)} %`);
    }
    test.info().annotations.push({ type: 'looks', description: shares.join('; ') });
    const all = await samples();
    expect(lies(all)).toEqual([]);
    // It looked, the number moved, and both were seen: live, and something else.
    expect(all.length).toBeGreaterThan(300);
    expect(new Set(all.map(({ number }) => number)).size).toBeGreaterThan(100);
    const labels = new Set(all.map(({ label }) => label));
    for (const label of ['live', 'aged', 'stalled']) expect(labels).toContain(label);
  });
}

async function frozen(what: { freeze: (frozen: boolean) => void }, wait: (ms: number) => Promise<void>) {
  what.freeze(true);
  await wait(5000);
  what.freeze(false);
}

async function offline(page: Page, wait: (ms: number) => Promise<void>): Promise<void> {
  await page.context().setOffline(true);
  await wait(5000);
  await page.context().setOffline(false);
}
