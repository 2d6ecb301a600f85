import { afterEach, expect, test, vi } from 'vitest';
import { lackOf, receivable } from './codecs';

afterEach(() => {
  vi.unstubAllGlobals();
});

test.each([
  ['H.264', [], 'browser_h264'],
  ['H.264', ['video/VP8', 'H.265'], 'browser_h264'],
  // Another setting of the camera would not help it.
  ['H.265', ['video/VP8'], 'browser_h264'],
  [null, ['video/VP8'], 'browser_h264'],
  ['H.265', ['H.264'], 'codec'],
  ['MJPEG', ['H.264', 'H.265'], 'codec'],
  [null, ['H.264'], 'codec'],
  ['H.264', ['H.264'], 'codec_form'],
  ['H.265', ['H.264', 'H.265'], 'codec_form'],
] as const)('%s and a browser with %j: %s', (camera, plays, lack) => {
  expect(lackOf(camera, new Set(plays))).toBe(lack);
});

test('the browser is asked in its words and answers in the router’s', () => {
  const codecs = ['video/VP8', 'video/rtx', 'video/H264', 'video/H264', 'video/H265'];
  vi.stubGlobal('RTCRtpReceiver', {
    getCapabilities: (kind: string) =>
      kind === 'video' ? { codecs: codecs.map((mimeType) => ({ mimeType })) } : null,
  });
  expect([...receivable()]).toEqual(['video/VP8', 'video/rtx', 'H.264', 'H.265']);
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => null });
  expect([...receivable()]).toEqual([]);
});
