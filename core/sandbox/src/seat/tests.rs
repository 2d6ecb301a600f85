//! Who sits where, with instances that do as a test says and a clock that is given.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::testing::TestPlugin;
use taimat_contract::{Cause, FrameReader, PluginError};

/// An instance that can be asked nothing.
#[derive(Debug)]
struct Fake;

#[async_trait]
impl Guest for Fake {
    fn want(&self) -> Option<Want> {
        None
    }
    async fn save(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }
    async fn load(&mut self, _from_version: &str, _saved: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

#[derive(Debug)]
struct NoFrames;

impl FrameSource for NoFrames {
    fn watch(&self, _camera: &taimat_base::CameraKey, _want: &Want) -> Box<dyn FrameReader> {
        unreachable!("nobody looks at frames")
    }
}

fn plugin(recycle: u64) -> TestPlugin {
    TestPlugin::new(Arc::new(NoFrames), recycle)
}

fn seat(plugin: &TestPlugin, camera: &str, make: Make<Fake>) -> (Seat<Fake>, SharedRunStatus) {
    Seat::new(TestPlugin::place(camera), plugin.context.clone(), make)
}

fn good(_: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<Fake> {
    Box::pin(async { Ok(Fake) })
}

fn state(status: &SharedRunStatus) -> (RunState, u64) {
    let status = status.lock().unwrap();
    (status.state, status.generation)
}

/// Lets whoever is being made sit down, or not.
async fn made(seat: &mut Seat<Fake>) {
    while seat.is_preparing() {
        let made = seat.made().await;
        seat.take_place(made).await;
    }
}

async fn sits(seat: &mut Seat<Fake>, generation: &Arc<Generation>) {
    seat.follow(generation);
    made(seat).await;
}

fn ask(seat: &mut Seat<Fake>, given: Given, called: Result<(), Failure>) {
    assert!(seat.turn().is_some());
    drop(seat.judge(given, called));
}

fn trap() -> Result<(), Failure> {
    Err(Failure::ended(Cause::Trap, "on purpose"))
}

async fn seconds(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_instance_that_can_not_be_made_is_not_tried_at_every_frame() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fn only_once(_: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<Fake> {
        let first = MADE.fetch_add(1, Ordering::Relaxed) == 0;
        let full = || Failure::ended(Cause::Start, "there is no room");
        Box::pin(async move { first.then_some(Fake).ok_or_else(full) })
    }
    let mut plugin = plugin(10);
    let (mut seat, status) = seat(&plugin, "c0", only_once);
    sits(&mut seat, &plugin.generation(1)).await;
    let attempts = async |seat: &mut Seat<Fake>| {
        for _ in 0..100 {
            ask(seat, Given::Question, Ok(()));
            seat.recycle();
            made(seat).await;
        }
        MADE.load(Ordering::Relaxed) - 1
    };
    assert_eq!(attempts(&mut seat).await, 1);
    // The pauses become longer.
    seconds(1).await;
    assert_eq!(attempts(&mut seat).await, 2);
    seconds(4).await;
    assert_eq!(attempts(&mut seat).await, 2);
    seconds(1).await;
    assert_eq!(attempts(&mut seat).await, 3);
    // What runs goes on meanwhile, and is not called refused.
    assert_eq!(state(&status), (RunState::Running, 1));
    while let Ok(report) = plugin.reports.try_recv() {
        assert!(!matches!(report, SeatReport::Refused { .. }), "{report:?}");
    }
}

static STARTS: AtomicUsize = AtomicUsize::new(0);

/// Says twice that it does not work now.
fn later(generation: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<Fake> {
    let works = generation.number == 1 || STARTS.fetch_add(1, Ordering::Relaxed) % 3 == 2;
    let now = || Failure::Said(PluginError::Retry("the state can not be reached".into()));
    Box::pin(async move { works.then_some(Fake).ok_or_else(now) })
}

#[tokio::test(start_paused = true)]
async fn who_says_that_it_may_start_later_is_tried_again() {
    let plugin = plugin(0);
    let (first, second) = (plugin.generation(1), plugin.generation(2));
    // Where nobody sits, and then where another one runs meanwhile.
    for (before, waiting, then) in [
        (None, (RunState::Suspended, 0), (RunState::Running, 2)),
        (
            Some(first),
            (RunState::Running, 1),
            (RunState::Probation, 2),
        ),
    ] {
        let (mut seat, status) = seat(&plugin, "c0", later);
        if let Some(before) = before {
            sits(&mut seat, &before).await;
        }
        sits(&mut seat, &second).await;
        assert_eq!(state(&status), waiting);
        for pause in [1, 5] {
            let due = clock::now() + Duration::from_secs(pause);
            assert_eq!(seat.resume_at(), Some(due));
            assert_ne!(state(&status), then);
            seconds(pause).await;
            seat.resume(&second);
            made(&mut seat).await;
        }
        assert_eq!((state(&status), seat.resume_at()), (then, None));
    }
}

#[tokio::test(start_paused = true)]
async fn who_refuses_its_settings_waits_for_others() {
    fn refuses(_: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<Fake> {
        let wrong = PluginError::Settings("nothing suits it".into());
        Box::pin(async { Err(Failure::Said(wrong)) })
    }
    let plugin = plugin(0);
    let (mut seat, status) = seat(&plugin, "c0", refuses);
    sits(&mut seat, &plugin.generation(1)).await;
    assert_eq!(state(&status), (RunState::Refused, 0));
    assert_eq!(seat.resume_at(), None);
}

#[tokio::test(start_paused = true)]
async fn who_fails_at_its_start_and_then_does_not_is_not_refused() {
    fn second_time(_: Arc<Generation>, _: Place, _: Arc<Budget>) -> Making<Fake> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let works = MADE.fetch_add(1, Ordering::Relaxed) > 0;
        let busy = || Failure::ended(Cause::Wall, "the machine is busy");
        Box::pin(async move { works.then_some(Fake).ok_or_else(busy) })
    }
    let plugin = plugin(0);
    let (mut seat, status) = seat(&plugin, "c0", second_time);
    sits(&mut seat, &plugin.generation(1)).await;
    assert_eq!(state(&status), (RunState::Running, 1));
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_nothing_stays_on_probation_until_it_has_passed_elsewhere() {
    let plugin = plugin(0);
    let (first, second) = (plugin.generation(1), plugin.generation(2));
    let (mut away, status) = seat(&plugin, "away", good);
    let (mut busy, busy_status) = seat(&plugin, "busy", good);
    for seat in [&mut away, &mut busy] {
        sits(seat, &first).await;
        sits(seat, &second).await;
    }
    let day = async |seat: &mut Seat<Fake>| {
        for _ in 0..24 {
            seconds(3600).await;
            ask(seat, Given::Tick, Ok(()));
        }
    };
    day(&mut away).await;
    assert_eq!(state(&status), (RunState::Probation, 2));
    for _ in 0..50 {
        ask(&mut busy, Given::Question, Ok(()));
    }
    assert_eq!(state(&busy_status), (RunState::Running, 2));
    ask(&mut away, Given::Tick, Ok(()));
    assert_eq!(state(&status), (RunState::Running, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_fallen_back_on_has_proved_itself() {
    let plugin = plugin(0);
    let (mut seat, status) = seat(&plugin, "c0", good);
    for number in 1..=3 {
        // The second one is asked nothing.
        sits(&mut seat, &plugin.generation(number)).await;
        seconds(60).await;
    }
    assert_eq!(state(&status), (RunState::Probation, 3));
    assert!(seat.turn().is_some());
    assert!(matches!(seat.judge(Given::Question, trap()), Answer::Again));
    assert_eq!(state(&status), (RunState::Running, 1));
}
