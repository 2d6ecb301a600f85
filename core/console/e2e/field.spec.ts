// Cameras of the field in a browser: a picture that is shown is one that the camera sent, and a camera
// with which no browser starts is named.

import { execFileSync } from 'node:child_process';
import { expect, type Page, test } from '@playwright/test';
import { FieldCameras, Router } from './stand';

/** Pictures are compared at this size: large enough to tell them apart, small enough to be quick. */
const WIDTH = 32;
const HEIGHT = 24;
/** Conversions of colours differ a little, torn pictures by far more. */
const ALIKE = 0.97;
/** Cameras that have no IDR picture: Chromium does not start with them (libwebrtc takes nothing else for
 * a key frame), and the page says so. */
const NOT_STARTABLE = ['open-groups', 'refresh'];

/** The brightness of all pictures of a stream, as ffmpeg shows them. Colours differ by who converts them. */
function pictures(clip: string): Buffer[] {
  const scale = `scale=${WIDTH}:${HEIGHT}:flags=area`;
  const args = ['-v', 'error', '-i', clip, '-vf', scale, '-pix_fmt', 'gray', '-f', 'rawvideo', '-'];
  const raw = execFileSync('ffmpeg', args, { maxBuffer: 1 << 28 });
  const size = WIDTH * HEIGHT;
  return Array.from({ length: raw.length / size }, (_, i) => raw.subarray(i * size, (i + 1) * size));
}

/** The picture on screen, averaged down as ffmpeg's area filter does. */
async function shown(page: Page): Promise<number[] | null> {
  return page
    .locator('.picture video')
    .first()
    .evaluate(
      async (video: HTMLVideoElement, [width, height]) => {
        if (video.videoWidth === 0 || !width || !height) return null;
        await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        const canvas = document.createElement('canvas');
        canvas.width = video.videoWidth;
        canvas.height = video.videoHeight;
        const context = canvas.getContext('2d');
        if (!context) return null;
        context.drawImage(video, 0, 0);
        const full = context.getImageData(0, 0, canvas.width, canvas.height).data;
        const [stepX, stepY] = [canvas.width / width, canvas.height / height];
        const small: number[] = [];
        for (let y = 0; y < height; y += 1) {
          for (let x = 0; x < width; x += 1) {
            let sum = 0;
            for (let v = Math.floor(y * stepY); v < (y + 1) * stepY; v += 1) {
              for (let u = Math.floor(x * stepX); u < (x + 1) * stepX; u += 1) {
                const at = (v * canvas.width + u) * 4;
                const [red, green, blue] = full.subarray(at, at + 3);
                sum += 0.299 * (red ?? 0) + 0.587 * (green ?? 0) + 0.114 * (blue ?? 0);
              }
            }
            small.push(sum / (stepX * stepY));
          }
        }
        return small;
      },
      [WIDTH, HEIGHT],
    );
}

/** How alike two pictures are, whatever range and gain their conversions gave them: 1 is the same. */
function likeness(a: number[], b: Buffer): number {
  const mean = (list: ArrayLike<number>): number =>
    Array.from(list).reduce((sum, value) => sum + value, 0) / list.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, ofA, ofB] = [0, 0, 0];
  a.forEach((value, i) => {
    const [x, y] = [value - meanA, (b[i] ?? 0) - meanB];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  });
  return both / Math.sqrt(ofA * ofB);
}

test('a fifth of the cameras of the field is right in Chromium, or named', async ({ page }) => {
  test.setTimeout(600_000);
  const cameras = new FieldCameras();
  const list = await cameras.start();
  const router = await new Router().start(cameras);
  const wrong: string[] = [];
  const table: string[] = [];
  const known = new Map<string, Buffer[]>();
  try {
    await page.goto(router.page);
    for (const { name, clips } of list) {
      const right = clips.flatMap((clip) => {
        const size = `${execFileSync('wc', ['-c', clip]).toString().split(' ')[0]}`;
        // Most play the same footage.
        if (!known.has(size)) known.set(size, pictures(clip));
        return known.get(size) ?? [];
      });
      await page.goto(`${router.page}#/camera/thu/${name}`);
      const picture = page.locator(`[data-camera="thu/${name}"]`).first();
      if (NOT_STARTABLE.includes(name)) {
        await expect(picture.getByTestId('cause')).toContainText(/IDR|open GOP/, { timeout: 20_000 });
        table.push(`${name.padEnd(36)} named`);
        continue;
      }
      const live = await expect(picture)
        .toHaveAttribute('data-state', 'live', { timeout: 20_000 })
        .then(
          () => true,
          () => false,
        );
      if (!live) {
        wrong.push(`${name}: ${(await picture.getAttribute('data-state')) ?? 'gone'}`);
        continue;
      }
      const alike: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        const now = await shown(page);
        alike.push(now ? Math.max(...right.map((one) => likeness(now, one))) : 0);
      }
      const least = Math.min(...alike).toFixed(4);
      table.push(`${name.padEnd(36)} live, pictures right to ${least}`);
      if (Math.min(...alike) < ALIKE) wrong.push(`${name}: a picture that was not sent (${least})`);
    }
  } finally {
    await router.stop();
    cameras.stop();
  }
  console.log(table.join('\n'));
  expect(wrong).toEqual([]);
});
