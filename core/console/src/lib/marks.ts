// Where what was seen is at a moment: a detector looks at a few pictures a second, and what moves
// goes on moving between them.

import type { components } from './api';

export type Rect = components['schemas']['Rect'];

export interface Mark {
  rect: Rect;
  kind: string;
  text: string;
  track: number | null;
}

/** What a plugin saw in one picture. */
export interface Seen {
  /** Microseconds since 1970, by the router's clock. */
  at: number;
  marks: Mark[];
}

/** Two pictures further apart say nothing about how things move, in µs. */
const MAX_GAP = 600_000;
/** The same thing has about the same size: parts of a group, and groups, do not. */
const MAX_GROWTH = 1.5;
/** Between two pictures, it goes no further than so many times its size. */
const MAX_STEP = 1.5;

/** Those of the pictures that are about a moment: the nearest, and the one that lies nearest to it
 *  on the moment's other side, or if there is none behind it. */
function about(list: Seen[], moment: number): [Seen, Seen | undefined] | null {
  let index = -1;
  list.forEach((seen, i) => {
    const best = list[index];
    if (!best || Math.abs(seen.at - moment) < Math.abs(best.at - moment)) index = i;
  });
  const nearest = list[index];
  if (!nearest) return null;
  const [before, after] = [list[index - 1], list[index + 1]];
  const other = nearest.at > moment ? (before ?? after) : (after ?? before);
  return [nearest, other && Math.abs(other.at - nearest.at) <= MAX_GAP ? other : undefined];
}

/** How far apart two marks are, in their own sizes; none if they are not of the same thing. */
function apart(a: Mark, b: Mark): number | null {
  if (a.kind !== b.kind) return null;
  if (a.track !== null && b.track !== null) return a.track === b.track ? 0 : null;
  if (a.text !== b.text) return null;
  const alike = (p: number, q: number): boolean => Math.max(p, q) <= MAX_GROWTH * Math.min(p, q);
  if (!alike(a.rect.width, b.rect.width) || !alike(a.rect.height, b.rect.height)) return null;
  const centre = ({ rect }: Mark): [number, number] => [rect.x + rect.width / 2, rect.y + rect.height / 2];
  const [[ax, ay], [bx, by]] = [centre(a), centre(b)];
  const far = Math.max(Math.abs(ax - bx) / a.rect.width, Math.abs(ay - by) / a.rect.height);
  return far <= MAX_STEP ? far : null;
}

/** The same things in two pictures, the surest first, each once. */
function pairs(nearest: Seen, other: Seen): Map<Mark, Mark> {
  const all = nearest.marks.flatMap((a) =>
    other.marks.flatMap((b) => {
      const far = apart(a, b);
      return far === null ? [] : [{ a, b, far }];
    }),
  );
  const found = new Map<Mark, Mark>();
  const taken = new Set<Mark>();
  for (const { a, b } of all.sort((p, q) => p.far - q.far)) {
    if (found.has(a) || taken.has(b)) continue;
    found.set(a, b);
    taken.add(b);
  }
  return found;
}

/** What was seen in the picture nearest to a moment, moved to where it is then. */
export function marksAt(list: Seen[], moment: number): { at: number; marks: Mark[] } | null {
  const found = about(list, moment);
  if (!found) return null;
  const [nearest, other] = found;
  if (!other || other.at === nearest.at) return nearest;
  const same = pairs(nearest, other);
  // Nothing is moved further than it was seen to move.
  const part = (moment - nearest.at) / (other.at - nearest.at);
  const share = Math.max(-1, Math.min(1, part));
  const move = (mark: Mark): Mark => {
    const partner = same.get(mark);
    if (!partner) return mark;
    const to = (from: number, there: number): number => from + (there - from) * share;
    const [a, b] = [mark.rect, partner.rect];
    const rect = {
      x: to(a.x, b.x),
      y: to(a.y, b.y),
      width: to(a.width, b.width),
      height: to(a.height, b.height),
    };
    return { ...mark, rect };
  };
  return { at: nearest.at, marks: nearest.marks.map(move) };
}
