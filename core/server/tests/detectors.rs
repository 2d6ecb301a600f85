//! The first-party detectors, as components in the real sandbox, held against what is true in drawn
//! scenes: how much of it they find, and how much of what they say is so. Prints a table; see it
//! with `--nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a set-up that fails fails its test, and the table is what it is run for"
)]

use std::time::Duration;

use taimat_author::recording::{Film, Recording};
use taimat_author::trial::{Outcome, run};
use taimat_contract::Rect;
use taimat_sandbox::limits::LimitSettings;
use taimat_simulate::{Kind, Object, Scene, SceneKind};
use taimat_testkit::plugins;

const FILM: Film = Film {
    size: (640, 360),
    rate: 10,
    seconds: 20,
};
/// Detectors have learned what is usual by then.
const SETTLED: Duration = Duration::from_secs(9);

async fn watch(plugin: &str, settings: &str, recording: &Recording) -> Outcome {
    let package = plugins::package(plugin).unwrap();
    // A debug build's host work is not what is measured here.
    let limits = LimitSettings {
        cpu: Some(Duration::from_secs(1)),
        wall: Some(Duration::from_secs(10)),
        ..LimitSettings::default()
    };
    run(&package, settings, &limits, recording).await.unwrap()
}

fn filmed(kind: SceneKind, seed: u64) -> (Scene, Recording) {
    let scene = Scene::new(kind, seed, FILM.seconds * FILM.rate, FILM.rate);
    (scene, Recording::scene(kind, seed, FILM).unwrap())
}

fn frame(time: Duration) -> u32 {
    (time.as_secs_f64() * f64::from(FILM.rate)).round() as u32
}

fn rect(object: &Object) -> Rect {
    Rect {
        x: object.x as f32,
        y: object.y as f32,
        width: object.w as f32,
        height: object.h as f32,
    }
}

/// The part of `of` that lies in one of the others.
fn covered(of: &Rect, by: &[Rect]) -> f32 {
    const POINTS: u16 = 12;
    let within = |x: f32, y: f32| {
        by.iter()
            .any(|r| (r.x..r.x + r.width).contains(&x) && (r.y..r.y + r.height).contains(&y))
    };
    let mut count = 0;
    for row in 0..POINTS {
        for column in 0..POINTS {
            let at = |from: f32, size: f32, i: u16| {
                from + size * (f32::from(i) + 0.5) / f32::from(POINTS)
            };
            count += u16::from(within(at(of.x, of.width, column), at(of.y, of.height, row)));
        }
    }
    f32::from(count) / f32::from(POINTS * POINTS)
}

/// The number that is drawn at the top moves all the time, as a clock in a real picture would.
const BELOW: &str = r#"{ "zones": [[[0, 0.13], [1, 0.13], [1, 1], [0, 1]]] }"#;

/// How often something was so and was said, was so and was not, was said and was not so.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    hits: u32,
    misses: u32,
    false_alarms: u32,
}

impl Score {
    fn recall(self) -> f64 {
        f64::from(self.hits) / f64::from((self.hits + self.misses).max(1))
    }
    fn precision(self) -> f64 {
        f64::from(self.hits) / f64::from((self.hits + self.false_alarms).max(1))
    }
    fn print(self, what: &str) {
        println!(
            "| {what} | {} | {} | {} | {:.3} | {:.3} |",
            self.hits,
            self.misses,
            self.false_alarms,
            self.precision(),
            self.recall()
        );
    }
    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.false_alarms += other.false_alarms;
    }
}

fn heading() {
    println!(
        "| what | hits | misses | false | precision | recall |\n| --- | --- | --- | --- | --- | --- |"
    );
}

/// Frame by frame: every object of which half is in the picture is to lie in a region by half, and
/// every region is to have something moving in a quarter of it.
#[tokio::test]
async fn motion() {
    heading();
    let mut all = Score::default();
    for kind in [SceneKind::Street, SceneKind::Night, SceneKind::Bag] {
        let (mut score, mut regions) = (Score::default(), Score::default());
        for seed in 1..=3 {
            let (scene, recording) = filmed(kind, seed);
            let seen = watch("detect-motion", BELOW, &recording).await;
            for time in seen.frames.iter().filter(|t| **t >= SETTLED) {
                let said: Vec<Rect> = seen
                    .seen
                    .iter()
                    .filter(|(at, _)| at == time)
                    .flat_map(|(_, d)| d.regions.clone())
                    .collect();
                let truth = scene.truth(frame(*time));
                let objects = truth.objects.iter().map(rect);
                let visible: Vec<Rect> = objects
                    .clone()
                    .filter_map(|o| {
                        o.clipped()
                            .filter(|c| c.width * c.height > 0.5 * o.width * o.height)
                    })
                    .collect();
                for object in &visible {
                    let found = covered(object, &said) >= 0.5;
                    score.hits += u32::from(found);
                    score.misses += u32::from(!found);
                }
                let there: Vec<Rect> = objects.collect();
                for region in &said {
                    let right = covered(region, &there) >= 0.25;
                    regions.hits += u32::from(right);
                    regions.false_alarms += u32::from(!right);
                }
            }
        }
        score.print(&format!("motion, objects, {}", kind.as_str()));
        regions.print(&format!("motion, regions, {}", kind.as_str()));
        assert!(regions.precision() > 0.95, "{kind:?}: {regions:?}");
        assert!(
            score.recall() > if kind == SceneKind::Night { 0.7 } else { 0.85 },
            "{kind:?}: {score:?}"
        );
        all.add(score);
    }
    all.print("motion, objects, all");
}

/// A line across the street: everybody who crosses it, once, with the direction.
#[tokio::test]
async fn line() {
    const SETTINGS: &str =
        r#"{ "lines": [{ "name": "gate", "from": [0.5, 1.0], "to": [0.5, 0.3] }] }"#;
    heading();
    let mut all = Score::default();
    for kind in [SceneKind::Street, SceneKind::Night, SceneKind::Bag] {
        let mut score = Score::default();
        for seed in 1..=4 {
            let (scene, recording) = filmed(kind, seed);
            let seen = watch("detect-line", SETTINGS, &recording).await;
            // Where each object's foot passes the middle, and which way.
            let mut crossings: Vec<(f64, &str, f32)> = Vec::new();
            for at in frame(SETTLED)..FILM.seconds * FILM.rate {
                let (before, now) = (scene.truth(at - 1), scene.truth(at));
                for object in now.objects.iter().filter(|o| o.kind != Kind::Bag) {
                    let Some(was) = before.objects.iter().find(|o| o.id == object.id) else {
                        continue;
                    };
                    let foot = |o: &Object| o.x + o.w / 2.0;
                    let way = match (foot(was) < 0.5, foot(object) < 0.5) {
                        (true, false) => "left-to-right",
                        (false, true) => "right-to-left",
                        _ => continue,
                    };
                    crossings.push((now.seconds, way, (object.y + object.h) as f32));
                }
            }
            let mut told: Vec<_> = seen
                .seen
                .iter()
                .filter(|(at, _)| *at >= SETTLED)
                .map(|(at, d)| {
                    let region = d.regions[0];
                    let way = d.text.strip_prefix("gate: ").unwrap();
                    (at.as_secs_f64(), way, region.y + region.height)
                })
                .collect();
            for (at, way, y) in crossings {
                let fits = |(t, w, bottom): &(f64, &str, f32)| {
                    (t - at).abs() < 1.2 && *w == way && (bottom - y).abs() < 0.08
                };
                match told.iter().position(fits) {
                    Some(index) => {
                        told.remove(index);
                        score.hits += 1;
                    }
                    // At the very end there may be no frame left to tell it in.
                    None if at + 0.5 < f64::from(FILM.seconds) => score.misses += 1,
                    None => {}
                }
            }
            score.false_alarms += u32::try_from(told.len()).unwrap();
        }
        score.print(&format!("line, {}", kind.as_str()));
        all.add(score);
    }
    all.print("line, all");
    assert!(all.recall() > 0.8 && all.precision() > 0.9, "{all:?}");
}

/// A bag that stays for the second half of a scene, and no bag in the other scenes.
#[tokio::test]
async fn litter() {
    const SETTINGS: &str =
        r#"{ "after-seconds": 4, "zones": [[[0, 0.13], [1, 0.13], [1, 1], [0, 1]]] }"#;
    heading();
    let mut all = Score::default();
    for kind in SceneKind::ALL {
        let mut score = Score::default();
        for seed in 1..=4 {
            let (scene, recording) = filmed(kind, seed);
            let seen = watch("detect-litter", SETTINGS, &recording).await;
            let mut found = false;
            for (time, detection) in &seen.seen {
                let bag = scene
                    .truth(frame(*time))
                    .objects
                    .into_iter()
                    .find(|o| o.kind == Kind::Bag);
                let lies = bag.is_some_and(|b| rect(&b).overlap(detection.regions[0]) > 0.2);
                found |= lies;
                score.false_alarms += u32::from(!lies);
            }
            if kind == SceneKind::Bag {
                score.hits += u32::from(found);
                score.misses += u32::from(!found);
            }
        }
        score.print(&format!("litter, {}", kind.as_str()));
        all.add(score);
    }
    all.print("litter, all");
    assert!(all.recall() > 0.99 && all.false_alarms <= 1, "{all:?}");
}

/// A lens that is covered from the tenth to the fifteenth second, and cameras that are let alone.
#[tokio::test]
async fn tamper() {
    const SETTINGS: &str = r#"{ "after-seconds": 2 }"#;
    heading();
    let mut all = Score::default();
    for kind in SceneKind::ALL {
        let mut score = Score::default();
        for seed in 1..=3 {
            let (scene, recording) = filmed(kind, seed);
            let seen = watch("detect-tamper", SETTINGS, &recording).await;
            let mut found = false;
            for (time, detection) in &seen.seen {
                let so = scene.truth(frame(*time)).covered && detection.kind == "tamper-covered";
                found |= so;
                score.false_alarms += u32::from(!so);
            }
            if kind == SceneKind::Covered {
                score.hits += u32::from(found);
                score.misses += u32::from(!found);
            }
        }
        score.print(&format!("tamper, {}", kind.as_str()));
        all.add(score);
    }
    all.print("tamper, all");
    assert!(all.recall() > 0.99 && all.false_alarms == 0, "{all:?}");
}
