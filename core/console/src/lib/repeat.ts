// Asking again and again without two questions at once: answers do not overtake each other.

/** Does it now and every `ms` until the returned function is called; while one is not done, the next is
 * left out. */
export function repeat(ask: () => Promise<void>, ms: number): () => void {
  let busy = false;
  const once = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      await ask();
    } finally {
      busy = false;
    }
  };
  void once();
  const timer = setInterval(() => void once(), ms);
  return () => clearInterval(timer);
}

/** Whoever calls it while it is under way waits for that, and for one more that begins after it. */
export function inTurn(ask: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  return () => {
    // What failed before is no reason not to ask.
    last = last.catch(() => undefined).then(ask);
    return last;
  };
}
