//! Street scenes and what is true in them.
//!
//! Everything is placed on a stage of 1280 × 720 units and drawn at any size. Motion is periodic in
//! the loop, so that its end joins its beginning.

use serde::Serialize;

use crate::draw::{Colour, Picture, Random, Rect};

/// The stage that coordinates refer to.
const STAGE: (i32, i32) = (1280, 720);

/// What happens in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SceneKind {
    /// Cars and motorbikes on a street, people on the pavement, by day.
    Street,
    /// The same by night: dark, grainy, with headlights.
    Night,
    /// Somebody leaves a bag at the corner, and it stays for half of the loop.
    Bag,
    /// The lens is covered for a quarter of the loop.
    Covered,
}

impl SceneKind {
    /// All kinds, in the order in which a fleet uses them.
    pub const ALL: [Self; 4] = [Self::Street, Self::Night, Self::Bag, Self::Covered];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Street => "street",
            Self::Night => "night",
            Self::Bag => "bag",
            Self::Covered => "covered",
        }
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A car.
    Car,
    /// A motorbike with its rider.
    Motorbike,
    /// Somebody on foot.
    Person,
    /// A bag that was left.
    Bag,
}

/// Something in the picture. Edges are fractions of the picture's width and height; parts may lie
/// outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Object {
    /// The same for the same thing in all frames.
    pub id: u32,
    /// What it is.
    pub kind: Kind,
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// What is true in one frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The frame's number in the loop: the number that is drawn in the picture.
    pub frame: u32,
    /// Seconds since the loop's beginning.
    pub seconds: f64,
    /// Whether the lens is covered.
    pub covered: bool,
    /// What is in the picture.
    pub objects: Vec<Object>,
}

#[derive(Debug, Clone, Copy)]
struct Mover {
    kind: Kind,
    lane: i32,
    size: (i32, i32),
    /// Where it is at the loop's beginning, in stage units.
    phase: i32,
    /// Rounds in a loop; negative is to the left.
    rounds: i32,
    colour: Colour,
}

/// A scene: a loop of frames.
#[derive(Debug, Clone)]
pub struct Scene {
    kind: SceneKind,
    seed: u64,
    frames: u32,
    rate: u32,
    movers: Vec<Mover>,
}

impl Scene {
    /// A loop of `frames` frames at `rate` a second.
    pub fn new(kind: SceneKind, seed: u64, frames: u32, rate: u32) -> Self {
        let mut random = Random::new(seed ^ 0x7A1_u64);
        let mut movers = Vec::new();
        // A loop of twenty seconds and a round of 1600 units: two rounds are 160 units a second.
        for (i, lane) in [380, 440, 500, 560].into_iter().enumerate() {
            let direction = if i < 2 { -1 } else { 1 };
            for _ in 0..2 {
                let bike = random.within(0..5) < 3;
                movers.push(Mover {
                    kind: if bike { Kind::Motorbike } else { Kind::Car },
                    lane,
                    size: if bike { (64, 48) } else { (150, 62) },
                    phase: random.within(0..1600),
                    rounds: direction * random.within(1..4),
                    colour: Colour(
                        random.within(40..220).try_into().unwrap_or(90),
                        random.within(90..170).try_into().unwrap_or(128),
                        random.within(90..170).try_into().unwrap_or(128),
                    ),
                });
            }
        }
        for lane in [300, 630] {
            movers.push(Mover {
                kind: Kind::Person,
                lane,
                size: (26, 68),
                phase: random.within(0..1600),
                rounds: if lane == 300 { 1 } else { -1 },
                colour: Colour(70, 118, 150),
            });
        }
        Self {
            kind,
            seed,
            frames: frames.max(1),
            rate: rate.max(1),
            movers,
        }
    }

    /// Frames in the loop.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Frames a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// What is true in frame `frame` (counted on past the loop's end).
    pub fn truth(&self, frame: u32) -> Truth {
        let frame = frame % self.frames;
        let objects = self.placed(frame).map(|(id, kind, rect, _)| Object {
            id,
            kind,
            x: f64::from(rect.x) / f64::from(STAGE.0),
            y: f64::from(rect.y) / f64::from(STAGE.1),
            w: f64::from(rect.w) / f64::from(STAGE.0),
            h: f64::from(rect.h) / f64::from(STAGE.1),
        });
        Truth {
            frame,
            seconds: f64::from(frame) / f64::from(self.rate),
            covered: self.covered(frame),
            objects: objects.collect(),
        }
    }

    fn covered(&self, frame: u32) -> bool {
        self.kind == SceneKind::Covered
            && frame * 4 >= self.frames * 2
            && frame * 4 < self.frames * 3
    }

    /// Whether the bag lies there.
    fn bag(&self, frame: u32) -> bool {
        self.kind == SceneKind::Bag && frame * 2 >= self.frames
    }

    fn placed(&self, frame: u32) -> impl Iterator<Item = (u32, Kind, Rect, Colour)> + '_ {
        const ROUND: i32 = 1600;
        let (frame_i, frames) = (i64::from(frame), i64::from(self.frames));
        let movers = self.movers.iter().zip(1..).filter_map(move |(m, id)| {
            let moved = i64::from(m.rounds) * i64::from(ROUND) * frame_i / frames;
            let place = (i64::from(m.phase) + moved).rem_euclid(i64::from(ROUND));
            let x = i32::try_from(place).unwrap_or(0) - 160;
            let rect = Rect {
                x,
                y: m.lane,
                w: m.size.0,
                h: m.size.1,
            };
            let visible = rect.x + rect.w > 0 && rect.x < STAGE.0;
            visible.then_some((id, m.kind, rect, m.colour))
        });
        let bag = self.bag(frame).then_some((
            100,
            Kind::Bag,
            Rect {
                x: 1010,
                y: 650,
                w: 46,
                h: 38,
            },
            Colour(30, 140, 118),
        ));
        movers.chain(bag)
    }

    /// Draws frame `frame` at any even size, its number included.
    pub fn draw(&self, frame: u32, width: usize, height: usize) -> Picture {
        let frame = frame % self.frames;
        let mut picture = Picture::new(width, height);
        if self.covered(frame) {
            let all = Rect {
                x: 0,
                y: 0,
                w: STAGE.0,
                h: STAGE.1,
            };
            self.fill(&mut picture, all, Colour(22, 126, 130));
        } else {
            self.background(&mut picture);
            for (_, kind, rect, colour) in self.placed(frame) {
                self.object(&mut picture, kind, rect, colour);
            }
            if self.kind == SceneKind::Night {
                picture.dim(38);
                self.headlights(&mut picture, frame);
            }
        }
        let grain = if self.kind == SceneKind::Night { 5 } else { 1 };
        picture.grain(grain, self.seed.wrapping_add(u64::from(frame) + 1));
        crate::number::write(&mut picture, frame);
        picture
    }

    fn fill(&self, picture: &mut Picture, rect: Rect, colour: Colour) {
        let (w, h) = (dimension(picture.width), dimension(picture.height));
        let scaled = Rect {
            x: rect.x * w / STAGE.0,
            y: rect.y * h / STAGE.1,
            w: (rect.w * w / STAGE.0).max(1),
            h: (rect.h * h / STAGE.1).max(1),
        };
        picture.fill(scaled, colour);
    }

    fn background(&self, picture: &mut Picture) {
        let mut random = Random::new(self.seed ^ 0xB6);
        let strip = |y, h| rect(0, y, STAGE.0, h);
        self.fill(picture, strip(0, 150), Colour(186, 138, 118)); // sky
        self.fill(picture, strip(290, 90), Colour::grey(140)); // far pavement
        self.fill(picture, strip(370, 260), Colour::grey(84)); // road
        self.fill(picture, strip(630, 90), Colour::grey(150)); // near pavement
        let mut x = 0;
        while x < STAGE.0 {
            x += self.house(picture, &mut random, x);
        }
        for x in (0..STAGE.0).step_by(120) {
            self.fill(picture, rect(x, 496, 60, 6), Colour::grey(210)); // lane marks
        }
        for x in (60..STAGE.0).step_by(290) {
            self.fill(picture, rect(x, 190, 10, 110), Colour(66, 118, 138)); // trunk
            self.fill(picture, rect(x - 34, 120, 78, 80), Colour(88, 110, 112)); // crown
        }
    }

    /// Draws a house, and says how wide it is.
    fn house(&self, picture: &mut Picture, random: &mut Random, x: i32) -> i32 {
        let (w, top) = (random.within(90..190), random.within(60..160));
        let wall = Colour(
            random.within(110..200).try_into().unwrap_or(150),
            random.within(112..132).try_into().unwrap_or(120),
            random.within(128..150).try_into().unwrap_or(135),
        );
        self.fill(picture, rect(x, top, w, 300 - top), wall);
        for wx in (x + 12..x + w - 24).step_by(34) {
            for wy in (top + 14..240).step_by(40) {
                let lit = random.within(0..4) == 0;
                let pane = if lit {
                    Colour(215, 100, 142)
                } else {
                    Colour(64, 134, 124)
                };
                self.fill(picture, rect(wx, wy, 18, 22), pane);
            }
        }
        self.fill(picture, rect(x, 262, w, 10), Colour(92, 112, 160)); // awning
        w
    }

    fn object(&self, picture: &mut Picture, kind: Kind, r: Rect, colour: Colour) {
        let part = |x, y, w, h| Rect {
            x: r.x + x,
            y: r.y + y,
            w,
            h,
        };
        let dark = Colour::grey(28);
        match kind {
            Kind::Car => {
                self.fill(picture, part(22, 0, r.w - 52, 26), colour);
                self.fill(picture, part(30, 5, r.w - 68, 17), Colour(60, 136, 124));
                self.fill(picture, part(0, 24, r.w, 28), colour);
                self.fill(picture, part(18, 46, 24, 16), dark);
                self.fill(picture, part(r.w - 42, 46, 24, 16), dark);
            }
            Kind::Motorbike => {
                self.fill(picture, part(24, 0, 14, 14), Colour(150, 110, 150));
                self.fill(picture, part(20, 14, 22, 20), colour);
                self.fill(picture, part(0, 30, 18, 18), dark);
                self.fill(picture, part(r.w - 18, 30, 18, 18), dark);
                self.fill(picture, part(10, 28, r.w - 20, 8), dark);
            }
            Kind::Person => {
                self.fill(picture, part(7, 0, 12, 14), Colour(150, 112, 152));
                self.fill(picture, part(3, 14, 20, 28), colour);
                self.fill(picture, part(5, 42, 7, 26), dark);
                self.fill(picture, part(14, 42, 7, 26), dark);
            }
            Kind::Bag => {
                self.fill(picture, part(0, 8, r.w, r.h - 8), colour);
                self.fill(picture, part(16, 0, 14, 8), colour);
            }
        }
    }

    fn headlights(&self, picture: &mut Picture, frame: u32) {
        for (id, kind, r, _) in self.placed(frame) {
            if matches!(kind, Kind::Car | Kind::Motorbike) {
                let left = usize::try_from(id)
                    .ok()
                    .and_then(|i| self.movers.get(i - 1));
                let left = left.is_some_and(|m| m.rounds < 0);
                let x = if left { r.x - 10 } else { r.x + r.w };
                let light = Rect {
                    x,
                    y: r.y + r.h / 2,
                    w: 10,
                    h: 12,
                };
                self.fill(picture, light, Colour(240, 110, 138));
            }
        }
    }
}

fn rect(x: i32, y: i32, w: i32, h: i32) -> Rect {
    Rect { x, y, w, h }
}

fn dimension(pixels: usize) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX / 2048)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_pictures() {
        for kind in SceneKind::ALL {
            let draw = |seed| Scene::new(kind, seed, 100, 10).draw(37, 320, 180);
            assert_eq!(draw(5), draw(5));
            assert_ne!(draw(5), draw(6), "{kind:?}");
        }
    }

    #[test]
    fn the_loops_end_joins_its_beginning() {
        let scene = Scene::new(SceneKind::Street, 1, 500, 25);
        assert_eq!(scene.truth(500).objects, scene.truth(0).objects);
        let (last, first) = (scene.truth(499), scene.truth(0));
        for object in &first.objects {
            if let Some(before) = last.objects.iter().find(|o| o.id == object.id) {
                assert!((before.x - object.x).abs() < 0.02, "{object:?}");
            }
        }
    }

    #[test]
    fn what_is_true_is_in_the_picture() {
        let scene = Scene::new(SceneKind::Bag, 3, 100, 10);
        let bag = |frame| {
            scene
                .truth(frame)
                .objects
                .iter()
                .any(|o| o.kind == Kind::Bag)
        };
        assert!(!bag(49) && bag(50));
        let (before, after) = (scene.draw(49, 640, 360), scene.draw(50, 640, 360));
        let at = 335 * 640 + 515;
        assert!(before.y[at].abs_diff(after.y[at]) > 60);
        let covered = Scene::new(SceneKind::Covered, 3, 100, 10);
        assert!(covered.truth(60).covered && !covered.truth(80).covered);
        let dark = covered.draw(60, 640, 360);
        assert!(dark.y[200 * 640..].iter().all(|l| *l < 40));
    }

    #[test]
    fn frames_carry_their_number() {
        let scene = Scene::new(SceneKind::Night, 3, 100, 10);
        let picture = scene.draw(77, 640, 360);
        assert_eq!(crate::number::read(&picture.y, 640), Some(77));
    }
}
