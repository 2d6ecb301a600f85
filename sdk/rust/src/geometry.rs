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
    /// As a part of the picture.
    pub fn rect(&self, columns: usize, rows: usize) -> Rect {
        Rect {
            x: self.left as f32 / columns as f32,
            y: self.top as f32 / rows as f32,
            width: (self.right - self.left + 1) as f32 / columns as f32,
            height: (self.bottom - self.top + 1) as f32 / rows as f32,
        }
    }
}

/// Groups of cells that are set and touch, also over a corner; the largest first.
pub fn blobs(set: &[bool], columns: usize) -> Vec<Blob> {
    let rows = set.len().checked_div(columns).unwrap_or(0);
    let mut seen = vec![false; set.len()];
    let mut found = Vec::new();
    let mut open = Vec::new();
    for start in 0..columns * rows {
        if !set[start] || seen[start] {
            continue;
        }
        seen[start] = true;
        open.push(start);
        let (x, y) = (start % columns, start / columns);
        let mut blob = Blob {
            left: x,
            top: y,
            right: x,
            bottom: y,
            cells: 0,
        };
        while let Some(at) = open.pop() {
            let (x, y) = (at % columns, at / columns);
            blob.left = blob.left.min(x);
            blob.right = blob.right.max(x);
            blob.top = blob.top.min(y);
            blob.bottom = blob.bottom.max(y);
            blob.cells += 1;
            for ny in y.saturating_sub(1)..(y + 2).min(rows) {
                for nx in x.saturating_sub(1)..(x + 2).min(columns) {
                    let next = ny * columns + nx;
                    if set[next] && !seen[next] {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
        }
        found.push(blob);
    }
    found.sort_by_key(|blob| std::cmp::Reverse(blob.cells));
    found
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
        let blobs = blobs(&set, 5);
        let sizes: Vec<usize> = blobs.iter().map(|b| b.cells).collect();
        assert_eq!(sizes, [3, 1]);
        assert_eq!((blobs[0].right, blobs[0].bottom), (1, 1));
        assert!((blobs[1].rect(5, 3).x - 0.8).abs() < 1e-6);
    }
}
