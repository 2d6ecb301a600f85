// Keeps a video element playing. A browser may refuse to begin, or stop what plays: at once it is asked once
// more, and then whenever somebody clicks or types in the page, which is what browsers wait for.

/** Who stops what was just begun again means it: pressing is left to the person. */
const AGAIN_MS = 5000;
const GESTURES = ['pointerdown', 'pointerup', 'keydown'] as const;

export interface Kept {
  /** Something new is in it: play that. */
  play: () => void;
  /** Somebody wants it to play. */
  press: () => void;
  /** It is left alone from now on. */
  release: () => void;
}

/** Keeps `video` playing; says whether it is refused, whenever that changes. */
export function keepPlaying(
  video: HTMLVideoElement,
  refused: (refused: boolean) => void,
  page: Pick<Window, 'addEventListener' | 'removeEventListener'> = window,
): Kept {
  let isRefused = false;
  let begunAt = -Infinity;
  let released = false;

  const is = (now: boolean): void => {
    if (now === isRefused || released) return;
    isRefused = now;
    const listen = now ? page.addEventListener.bind(page) : page.removeEventListener.bind(page);
    for (const gesture of GESTURES) listen(gesture, play, { capture: true });
    refused(now);
  };

  const play = (): void => {
    begunAt = performance.now();
    video.play().then(
      () => is(false),
      (error: unknown) => {
        // Something else was put in, or the element was left: whoever did that goes on.
        if (error instanceof DOMException && error.name === 'AbortError') return;
        if (video.muted) is(true);
        else {
          // Sound is what browsers refuse most: the picture goes before.
          video.muted = true;
          play();
        }
      },
    );
  };

  const paused = (): void => {
    if (released || !video.srcObject) return;
    const again = performance.now() - begunAt < AGAIN_MS;
    is(true);
    if (!again) play();
  };

  video.addEventListener('pause', paused);
  return {
    play,
    press: play,
    release: () => {
      is(false);
      released = true;
      video.removeEventListener('pause', paused);
    },
  };
}
