import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepPlaying, type Kept } from './element';

class Video extends EventTarget {
  srcObject: unknown = {};
  muted = true;
  played = 0;
  /** What is said to the next attempts; nothing is yes. */
  refusal: DOMException | null = null;
  refusesSound = false;

  play(): Promise<void> {
    this.played += 1;
    if (this.refusesSound && !this.muted) return Promise.reject(new DOMException('', 'NotAllowedError'));
    return this.refusal ? Promise.reject(this.refusal) : Promise.resolve();
  }

  pause(): void {
    this.dispatchEvent(new Event('pause'));
  }
}

const NOT_ALLOWED = new DOMException('press first', 'NotAllowedError');
let video: Video;
let page: EventTarget;
let said: boolean[];
let kept: Kept;
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  video = new Video();
  page = new EventTarget();
  said = [];
  kept = keepPlaying(video as unknown as HTMLVideoElement, (refused) => said.push(refused), page);
});
afterEach(() => {
  kept.release();
  vi.useRealTimers();
});

test('what plays is left alone', async () => {
  kept.play();
  await settle();
  page.dispatchEvent(new Event('pointerdown'));
  expect([video.played, said]).toEqual([1, []]);
});

test('a refusal is said, and any press or key tries again', async () => {
  video.refusal = NOT_ALLOWED;
  kept.play();
  await settle();
  expect(said).toEqual([true]);
  page.dispatchEvent(new Event('keydown'));
  await settle();
  expect([video.played, said]).toEqual([2, [true]]);
  video.refusal = null;
  page.dispatchEvent(new Event('pointerup'));
  await settle();
  expect([video.played, said]).toEqual([3, [true, false]]);
  page.dispatchEvent(new Event('pointerdown'));
  expect(video.played).toBe(3);
});

test('sound that is refused does not take the picture with it', async () => {
  video.muted = false;
  video.refusesSound = true;
  kept.play();
  await settle();
  expect([video.muted, video.played, said]).toEqual([true, 2, []]);
});

test('what is interrupted by another beginning is not refused', async () => {
  video.refusal = new DOMException('', 'AbortError');
  kept.play();
  await settle();
  expect(said).toEqual([]);
});

test('what the browser pauses goes on at once, and is said if it pauses again', async () => {
  kept.play();
  await vi.advanceTimersByTimeAsync(6000);
  video.pause();
  // Not live for a moment, either.
  expect(said).toEqual([true]);
  await settle();
  expect([video.played, said]).toEqual([2, [true, false]]);
  video.pause();
  await settle();
  expect([video.played, said]).toEqual([2, [true, false, true]]);
  kept.press();
  await settle();
  expect(said.at(-1)).toBe(false);
});

test('an element without a picture in it is not paused by anybody', () => {
  video.srcObject = null;
  video.pause();
  expect([video.played, said]).toEqual([0, []]);
});

test('who is released does nothing any more', async () => {
  video.refusal = NOT_ALLOWED;
  kept.play();
  await settle();
  kept.release();
  expect(said).toEqual([true, false]);
  page.dispatchEvent(new Event('keydown'));
  video.pause();
  await settle();
  expect([video.played, said]).toEqual([1, [true, false]]);
});
