// Who lacks what when a camera's video and a browser do not go together: what is told has to be true for the
// side that lacks it. Pure, but for the one question to the browser.

/** Why a viewer was refused for its codecs, as a word of the catalogue's causes. */
export type Lack =
  /** The camera sends what this browser does not play, and H.264 would do. */
  | 'codec'
  /** The browser has no H.264, whatever the camera sends. */
  | 'browser_h264'
  /** The browser has the codec, but not in the camera's form. */
  | 'codec_form';

/** `camera` is the codec's name as the router writes it; null as long as that is not known. `plays` are the
 * browser's, in the same way. */
export function lackOf(camera: string | null, plays: ReadonlySet<string>): Lack {
  if (!plays.has('H.264')) return 'browser_h264';
  return camera !== null && plays.has(camera) ? 'codec_form' : 'codec';
}

/** The video codecs that this browser receives, as the router writes them. */
export function receivable(): ReadonlySet<string> {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const written: Record<string, string> = { 'video/h264': 'H.264', 'video/h265': 'H.265' };
  return new Set(codecs.map(({ mimeType }) => written[mimeType.toLowerCase()] ?? mimeType));
}
