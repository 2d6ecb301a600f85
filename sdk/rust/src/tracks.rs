//! Which group of cells is which object, from frame to frame.
//!
//! Objects that touch in the picture become one group. Each keeps the part of it that lies where it
//! was expected, so that two vehicles side by side stay two.

use crate::Rect;
use crate::geometry::{Blob, Cells, Point, foot};

/// Seconds for which an object that is not seen is waited for.
const PATIENCE: f32 = 1.0;
/// Frames after which it counts as an object and not as a flicker.
const CONFIRMED: u32 = 3;
/// How much of a new velocity is believed.
const BELIEF: f32 = 0.4;
/// Cells between parts of one object at most.
const GAP: usize = 2;
/// Objects at most; further ones are not followed.
const MAX_TRACKS: usize = 64;

/// Something that moves.
#[derive(Debug, Clone)]
pub struct Track {
    /// The same for the same object.
    pub id: u64,
    /// Where it is.
    pub rect: Rect,
    /// Where it stood in the frame before, and stands now.
    pub step: (Point, Point),
    /// Microseconds since 1970 when it appeared.
    pub since: i64,
    /// Frames in which it was seen.
    pub frames: u32,
    /// Fractions of the picture per second.
    velocity: (f32, f32),
    seen: i64,
}

impl Track {
    /// Seen often enough to be an object and not a flicker.
    pub fn is_confirmed(&self) -> bool {
        self.frames >= CONFIRMED
    }

    fn expected(&self, now: i64) -> Rect {
        let seconds = (now - self.seen) as f32 / 1e6;
        Rect {
            x: self.rect.x + self.velocity.0 * seconds,
            y: self.rect.y + self.velocity.1 * seconds,
            ..self.rect
        }
    }

    /// Seen alone, there.
    fn moves_to(&mut self, rect: Rect, now: i64) {
        let seconds = (now - self.seen) as f32 / 1e6;
        if seconds > 0.0 {
            let shift = |from: f32, size: f32, to: f32, new: f32| {
                let (near, far) = (to - from, to + new - from - size);
                if near.abs() < far.abs() {
                    (near, far)
                } else {
                    (far, near)
                }
            };
            let (x_small, x_large) = shift(self.rect.x, self.rect.width, rect.x, rect.width);
            let (y_small, y_large) = shift(self.rect.y, self.rect.height, rect.y, rect.height);
            // What enters or leaves moves with the edge that is within the picture.
            let cut = rect.x <= 0.0 || rect.x + rect.width >= 0.99;
            let x = if cut {
                x_large
            } else {
                (x_small + x_large) / 2.0
            };
            let y = (y_small + y_large) / 2.0;
            let belief = if self.frames < 2 { 1.0 } else { BELIEF };
            self.velocity.0 += (x / seconds - self.velocity.0) * belief;
            self.velocity.1 += (y / seconds - self.velocity.1) * belief;
        }
        self.take_place(rect, now);
    }

    /// Seen together with others: it goes on as it did, and follows those of its edges that are
    /// clear.
    fn goes_on(&mut self, part: Rect, cell: (f32, f32), now: i64) {
        let expected = self.expected(now);
        let seconds = (now - self.seen) as f32 / 1e6;
        let shift = |from: f32, size: f32, to: f32, new: f32, most: f32| {
            let (near, far) = (to - from, to + new - from - size);
            let both = if near * far <= 0.0 {
                0.0
            } else if near.abs() < far.abs() {
                near
            } else {
                far
            };
            both.clamp(-most, most)
        };
        let x = shift(expected.x, expected.width, part.x, part.width, 1.5 * cell.0);
        let y = shift(expected.y, expected.height, part.y, part.height, cell.1);
        if seconds > 0.0 {
            self.velocity.0 += x / seconds * BELIEF / 2.0;
            self.velocity.1 += y / seconds * BELIEF / 2.0;
        }
        // Where it was expected and nothing is, it is not.
        let less = |size: f32, part: f32, cell: f32| {
            if part + cell < size {
                size - (size - part - cell) / 2.0
            } else {
                size
            }
        };
        let rect = Rect {
            x: expected.x + x,
            y: expected.y + y,
            width: less(expected.width, part.width, cell.0),
            height: less(expected.height, part.height, cell.1),
        };
        self.take_place(rect, now);
    }

    fn take_place(&mut self, rect: Rect, now: i64) {
        self.step = (self.step.1, foot(&rect));
        self.rect = rect;
        self.seen = now;
        self.frames += 1;
    }
}

/// A group of cells, or what a track has of one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    blob: Blob,
    /// Others have a part of the group too.
    shared: bool,
}

/// Everything that moves in front of a camera.
#[derive(Debug, Default)]
pub struct Tracks {
    tracks: Vec<Track>,
    next: u64,
}

impl Tracks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number that the next object gets.
    pub fn next_id(&self) -> u64 {
        self.next
    }

    /// Numbers objects from here on: for the instance that follows another.
    pub fn begin_at(&mut self, id: u64) {
        self.next = id;
    }

    /// Follows them to the next frame. Groups of less than `smallest` cells are left out. Gives
    /// those that were seen in it.
    pub fn follow(&mut self, cells: &Cells, smallest: usize, now: i64) -> Vec<&Track> {
        let expected: Vec<Rect> = self.tracks.iter().map(|t| t.expected(now)).collect();
        let mut parts: Vec<Vec<Piece>> = vec![Vec::new(); expected.len()];
        let mut new = Vec::new();
        for (blob, places) in cells.groups() {
            let rect = cells.rect(&blob);
            let here: Vec<usize> = (0..expected.len())
                .filter(|i| near(&expected[*i], &rect, cells.cell()))
                .collect();
            match &here[..] {
                [] => new.push(blob),
                [owner] => parts[*owner].push(Piece {
                    blob,
                    shared: false,
                }),
                _ => share(&places, &here, &expected, cells, &mut parts),
            }
        }
        for ((track, pieces), expected) in self.tracks.iter_mut().zip(parts).zip(&expected) {
            let (part, others) = gather(pieces, expected, cells);
            new.extend(others.iter().filter(|p| !p.shared).map(|p| p.blob));
            match part {
                // A sliver of a group is nobody.
                Some(part) if part.blob.cells * 2 < smallest => {}
                Some(part) if part.shared => {
                    track.goes_on(cells.rect(&part.blob), cells.cell(), now);
                }
                Some(part) => track.moves_to(cells.rect(&part.blob), now),
                None => {}
            }
        }
        self.tracks.retain(|t| {
            let lost = (now - t.seen) as f32 / 1e6 > PATIENCE || now < t.seen;
            let never_was = t.seen != now && !t.is_confirmed();
            !lost && !never_was
        });
        let new = new.into_iter().filter(|blob| blob.cells >= smallest);
        for blob in new.take(MAX_TRACKS.saturating_sub(self.tracks.len())) {
            let rect = cells.rect(&blob);
            self.tracks.push(Track {
                id: self.next,
                rect,
                step: (foot(&rect), foot(&rect)),
                since: now,
                frames: 1,
                velocity: (0.0, 0.0),
                seen: now,
            });
            self.next += 1;
        }
        self.tracks.iter().filter(|t| t.seen == now).collect()
    }
}

/// Whether a group may belong to what is expected there: they overlap, or nearly.
fn near(expected: &Rect, rect: &Rect, cell: (f32, f32)) -> bool {
    let touches =
        |a: f32, aw: f32, b: f32, bw: f32, slack: f32| a < b + bw + slack && b < a + aw + slack;
    touches(expected.x, expected.width, rect.x, rect.width, cell.0)
        && touches(expected.y, expected.height, rect.y, rect.height, 0.0)
}

/// Gives each cell of a group to the tracks that are expected there, or nearest to it; where two
/// are expected, both get it.
fn share(
    places: &[(usize, usize)],
    here: &[usize],
    expected: &[Rect],
    cells: &Cells,
    parts: &mut [Vec<Piece>],
) {
    let mut shares: Vec<Option<Blob>> = vec![None; here.len()];
    for (x, y) in places {
        let far: Vec<f32> = here
            .iter()
            .map(|i| distance(&expected[*i], cells, *x, *y))
            .collect();
        let nearest = far.iter().copied().fold(f32::INFINITY, f32::min);
        for (share, far) in shares.iter_mut().zip(far) {
            if far <= nearest {
                share.get_or_insert(Blob::at(*x, *y)).add(*x, *y);
            }
        }
    }
    for (owner, share) in here.iter().zip(shares) {
        parts[*owner].extend(share.map(|blob| Piece { blob, shared: true }));
    }
}

/// Of a track's pieces, those that are one thing: near each other, and together not much larger
/// than it is. And the rest.
fn gather(mut pieces: Vec<Piece>, expected: &Rect, cells: &Cells) -> (Option<Piece>, Vec<Piece>) {
    let far = |piece: &Piece| {
        let rect = cells.rect(&piece.blob);
        (rect.x + rect.width / 2.0 - expected.x - expected.width / 2.0).abs()
            + (rect.y + rect.height / 2.0 - expected.y - expected.height / 2.0).abs()
    };
    pieces.sort_by(|a, b| far(a).total_cmp(&far(b)));
    let (cell_width, cell_height) = cells.cell();
    let most = (
        (expected.width * 1.5).max(expected.width + 4.0 * cell_width),
        (expected.height * 1.5).max(expected.height + 4.0 * cell_height),
    );
    let mut gathered: Option<Piece> = None;
    let mut others = Vec::new();
    for piece in pieces {
        let Some(found) = gathered else {
            gathered = Some(piece);
            continue;
        };
        let all = both(found.blob, piece.blob);
        let rect = cells.rect(&all);
        if apart(found.blob, piece.blob) <= GAP && rect.width <= most.0 && rect.height <= most.1 {
            gathered = Some(Piece {
                blob: all,
                shared: found.shared || piece.shared,
            });
        } else {
            others.push(piece);
        }
    }
    (gathered, others)
}

/// Cells between two groups.
fn apart(a: Blob, b: Blob) -> usize {
    let between = |a: (usize, usize), b: (usize, usize)| {
        let gap = a.0.max(b.0).saturating_sub(a.1.min(b.1));
        gap.saturating_sub(1)
    };
    let across = between((a.left, a.right), (b.left, b.right));
    let down = between((a.top, a.bottom), (b.top, b.bottom));
    across.max(down)
}

/// Two groups as one.
fn both(a: Blob, b: Blob) -> Blob {
    Blob {
        left: a.left.min(b.left),
        top: a.top.min(b.top),
        right: a.right.max(b.right),
        bottom: a.bottom.max(b.bottom),
        cells: a.cells + b.cells,
    }
}

/// How far a cell's middle lies outside of a rectangle.
fn distance(rect: &Rect, cells: &Cells, x: usize, y: usize) -> f32 {
    let (width, height) = cells.cell();
    let (cx, cy) = ((x as f32 + 0.5) * width, (y as f32 + 0.5) * height);
    let outside = |c: f32, from: f32, size: f32| (from - c).max(c - from - size).max(0.0);
    outside(cx, rect.x, rect.width) + outside(cy, rect.y, rect.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 80;
    const ROWS: usize = 45;
    const STEP: i64 = 200_000;

    fn cells(boxes: &[(i32, i32, i32, i32)]) -> Cells {
        let mut set = vec![false; COLUMNS * ROWS];
        for (left, top, width, height) in boxes {
            for y in *top..top + height {
                for x in (*left).max(0)..(left + width).min(COLUMNS as i32) {
                    set[y as usize * COLUMNS + x as usize] = true;
                }
            }
        }
        Cells::new(set, COLUMNS)
    }

    #[test]
    fn two_that_pass_each_other_stay_two() {
        let mut tracks = Tracks::new();
        let mut last = Vec::new();
        for at in 0..30 {
            // In neighbouring lanes, so that they touch in the middle.
            let (left, right) = (5 + at * 2, 65 - at * 2);
            let seen = cells(&[(left, 20, 8, 4), (right, 24, 8, 4)]);
            let now = i64::from(at) * STEP;
            last = tracks.follow(&seen, 4, now).into_iter().cloned().collect();
            assert_eq!(last.len(), 2, "frame {at}");
        }
        let x = |id: u64| last.iter().find(|t| t.id == id).unwrap().rect.x * COLUMNS as f32;
        assert_eq!((x(0).round(), x(1).round()), (63.0, 7.0));
    }

    #[test]
    fn one_in_pieces_stays_one() {
        let mut tracks = Tracks::new();
        for at in 0..20 {
            let left = 10 + at;
            // From the fifth frame on its middle looks like the road.
            let seen = match at {
                0..5 => cells(&[(left, 20, 10, 4)]),
                _ => cells(&[(left, 20, 4, 4), (left + 6, 20, 4, 4)]),
            };
            let now = i64::from(at) * STEP;
            assert_eq!(tracks.follow(&seen, 4, now).len(), 1, "frame {at}");
        }
    }

    #[test]
    fn a_flicker_is_forgotten_and_an_object_is_waited_for() {
        let mut tracks = Tracks::new();
        let flicker = cells(&[(10, 10, 4, 4)]);
        assert_eq!(tracks.follow(&flicker, 4, 0).len(), 1);
        assert_eq!(tracks.follow(&cells(&[]), 4, STEP).len(), 0);
        assert!(tracks.tracks.is_empty());
        for at in 0..5 {
            tracks.follow(&cells(&[(10 + at, 10, 4, 4)]), 4, i64::from(at) * STEP);
        }
        // Behind a tree for three frames.
        for at in 5..8 {
            tracks.follow(&cells(&[]), 4, i64::from(at) * STEP);
        }
        let again = cells(&[(18, 10, 4, 4)]);
        let seen: Vec<_> = tracks
            .follow(&again, 4, 8 * STEP)
            .into_iter()
            .cloned()
            .collect();
        assert_eq!(
            (seen.len(), seen[0].id, seen[0].is_confirmed()),
            (1, 1, true)
        );
    }
}
