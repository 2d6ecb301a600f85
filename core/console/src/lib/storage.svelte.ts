// How it stands with a commune's recordings, asked for every few seconds.

import { getJson } from './ask';
import { repeat } from './repeat';
import type { Standing } from './storing';

const POLL_MS = 5000;

export class Storage {
  standing = $state.raw<Standing | null>(null);
  /** The last question was not answered. */
  failed = $state(false);

  constructor(readonly commune: string) {}

  start = (): (() => void) =>
    repeat(async () => {
      const standing = await getJson<Standing>(`/api/v1/communes/${this.commune}/storage`);
      this.failed = standing === null;
      this.standing = standing ?? this.standing;
    }, POLL_MS);
}
