//! Zones, lines, boxes, tracks. Coordinates are fractions of the picture from the top left.

use serde::{Deserialize, Serialize};

use crate::Rect;

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point(pub f32, pub f32);

/// A polygon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zone(pub Vec<Point>);

impl Zone {
    /// Whether a point lies within, by the even-odd rule.
    pub fn contains(&self, Point(x, y): Point) -> bool {
        let next = self.0.iter().cycle().skip(1);
        let mut inside = false;
        for (Point(ax, ay), Point(bx, by)) in self.0.iter().zip(next) {
            let crosses = (*ay > y) != (*by > y);
            if crosses && x < (bx - ax) * (y - ay) / (by - ay) + ax {
                inside = !inside;
            }
        }
        inside
    }
}

/// A line with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Where it begins.
    pub from: Point,
    /// Where it ends.
    pub to: Point,
}

/// Which way a line is crossed, for somebody who looks from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the left to the right.
    LeftToRight,
    /// From the right to the left.
    RightToLeft,
}

impl Line {
    /// Positive to the right of it, negative to the left; the picture's y axis points down.
    pub fn side(&self, Point(x, y): Point) -> f32 {
        let (Point(ax, ay), Point(bx, by)) = (self.from, self.to);
        (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    }

    /// Whether the way from `a` to `b` crosses it, and how.
    pub fn crossed(&self, a: Point, b: Point) -> Option<Direction> {
        let (before, after) = (self.side(a), self.side(b));
        if (before > 0.0) == (after > 0.0) {
            return None;
        }
        // The two ends of the line have to lie on either side of the way.
        let way = Line { from: a, to: b };
        if (way.side(self.from) > 0.0) == (way.side(self.to) > 0.0) {
            return None;
        }
        Some(if after > 0.0 {
            Direction::LeftToRight
        } else {
            Direction::RightToLeft
        })
    }
}

/// Middle of a rectangle's lower edge: where somebody stands.
pub fn foot(rect: &Rect) -> Point {
    Point(rect.x + rect.width / 2.0, rect.y + rect.height)
}

/// The overlap of two rectangles over the area of both.
pub fn overlap(a: &Rect, b: &Rect) -> f32 {
    let side = |a: f32, aw: f32, b: f32, bw: f32| ((a + aw).min(b + bw) - a.max(b)).max(0.0);
    let both = side(a.x, a.width, b.x, b.width) * side(a.y, a.height, b.y, b.height);
    let all = a.width * a.height + b.width * b.height - both;
    if all > 0.0 { both / all } else { 0.0 }
}

/// Cells of a picture, each set or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cells {
    columns: usize,
    rows: usize,
    /// Width and height of a cell, as fractions of the picture.
    size: (f32, f32),
    set: Vec<bool>,
}

/// A group of neighbouring cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Left column.
    pub left: usize,
    /// Upper row.
    pub top: usize,
    /// Right column, included.
    pub right: usize,
    /// Lower row, included.
    pub bottom: usize,
    /// Cells in it.
    pub cells: usize,
}

impl Blob {
    /// Around a cell, without it.
    pub(crate) const fn at(x: usize, y: usize) -> Self {
        Self {
            left: x,
            top: y,
            right: x,
            bottom: y,
            cells: 0,
        }
    }

    pub(crate) fn add(&mut self, x: usize, y: usize) {
        self.left = self.left.min(x);
        self.right = self.right.max(x);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
        self.cells += 1;
    }
}

impl Cells {
    /// Cells that cover the whole picture, row by row. What is missing at the end is not set.
    pub fn new(set: Vec<bool>, columns: usize) -> Self {
        let columns = columns.max(1);
        let rows = set.len().div_ceil(columns).max(1);
        Self::sized(set, columns, (1.0 / columns as f32, 1.0 / rows as f32))
    }

    /// Cells of a size given as fractions of the picture.
    pub(crate) fn sized(mut set: Vec<bool>, columns: usize, size: (f32, f32)) -> Self {
        let columns = columns.max(1);
        let rows = set.len().div_ceil(columns);
        set.resize(columns * rows, false);
        Self {
            columns,
            rows,
            size,
            set,
        }
    }

    /// Columns and rows.
    pub fn shape(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Width and height of a cell, as fractions of the picture.
    pub fn cell(&self) -> (f32, f32) {
        self.size
    }

    /// How many are set.
    pub fn count(&self) -> usize {
        self.set.iter().filter(|set| **set).count()
    }

    /// A group as a part of the picture.
    pub fn rect(&self, blob: &Blob) -> Rect {
        Rect {
            x: blob.left as f32 * self.size.0,
            y: blob.top as f32 * self.size.1,
            width: (blob.right - blob.left + 1) as f32 * self.size.0,
            height: (blob.bottom - blob.top + 1) as f32 * self.size.1,
        }
    }

    /// Groups of cells that are set and touch, also over a corner; the largest first.
    pub fn blobs(&self) -> Vec<Blob> {
        let mut found: Vec<Blob> = self.groups().into_iter().map(|(blob, _)| blob).collect();
        found.sort_by_key(|blob| std::cmp::Reverse(blob.cells));
        found
    }

    /// Groups of cells that are set and touch, with the places of their cells.
    pub(crate) fn groups(&self) -> Vec<(Blob, Vec<(usize, usize)>)> {
        let (columns, rows) = (self.columns, self.rows);
        let mut seen = vec![false; self.set.len()];
        let mut found = Vec::new();
        let mut open = Vec::new();
        for start in 0..self.set.len() {
            if !self.set[start] || seen[start] {
                continue;
            }
            seen[start] = true;
            open.push(start);
            let mut blob = Blob::at(start % columns, start / columns);
            let mut places = Vec::new();
            while let Some(at) = open.pop() {
                let (x, y) = (at % columns, at / columns);
                blob.add(x, y);
                places.push((x, y));
                for ny in y.saturating_sub(1)..(y + 2).min(rows) {
                    for nx in x.saturating_sub(1)..(x + 2).min(columns) {
                        let next = ny * columns + nx;
                        if self.set[next] && !seen[next] {
                            seen[next] = true;
                            open.push(next);
                        }
                    }
                }
            }
            found.push((blob, places));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_and_outside() {
        let zone = Zone(vec![Point(0.2, 0.2), Point(0.8, 0.2), Point(0.5, 0.8)]);
        assert!(zone.contains(Point(0.5, 0.4)));
        assert!(!zone.contains(Point(0.25, 0.7)));
        assert!(!Zone(vec![]).contains(Point(0.5, 0.5)));
    }

    #[test]
    fn crossing_has_a_direction() {
        let line = Line {
            from: Point(0.5, 1.0),
            to: Point(0.5, 0.0),
        };
        let (left, right) = (Point(0.4, 0.5), Point(0.6, 0.5));
        assert_eq!(line.crossed(left, right), Some(Direction::LeftToRight));
        assert_eq!(line.crossed(right, left), Some(Direction::RightToLeft));
        assert_eq!(line.crossed(left, Point(0.45, 0.5)), None);
        // Past its end.
        let short = Line {
            from: Point(0.5, 0.2),
            to: Point(0.5, 0.1),
        };
        assert_eq!(short.crossed(left, right), None);
    }

    #[test]
    fn groups_cells() {
        let set: Vec<bool> = "##...\n.#..#\n....."
            .lines()
            .flat_map(|l| l.chars().map(|c| c == '#'))
            .collect();
        let cells = Cells::new(set, 5);
        let blobs = cells.blobs();
        let sizes: Vec<usize> = blobs.iter().map(|b| b.cells).collect();
        assert_eq!((sizes, cells.count()), (vec![3, 1], 4));
        assert_eq!((blobs[0].right, blobs[0].bottom), (1, 1));
        assert!((cells.rect(&blobs[1]).x - 0.8).abs() < 1e-6);
    }
}
