//! What the house sees of itself and makes events of: cameras that are away, plugins that do not run,
//! a disk that gets full, a clock that jumps.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use taimat_archive::{Archive, Trouble, TroubleKind};
use taimat_base::{CameraId, CommuneId, Profile, clock};
use taimat_contract::Severity;
use taimat_events::{Condition, Conditions};
use taimat_hub::{ChannelKey, Hub, SourceState, Status};
use taimat_sandbox::{PluginState, PluginStatus, RunState, Sandbox};

use crate::config::Commune;
use crate::data_folder::{DataFolder, NotKept};

/// Pictures may be late, and plugins paused, for so long before that is an event.
const SHORT: Duration = Duration::from_secs(10);
/// The disk is short of room when less than this is free, in bytes, and less than a twentieth.
const SHORT_BYTES: u64 = 2 << 30;
/// A clock that is set by so much has jumped; so long it is said.
const JUMP: Duration = Duration::from_secs(2);
const JUMP_SAID: Duration = Duration::from_secs(60);

/// Looks at the house.
#[derive(Debug)]
pub(crate) struct HouseConditions {
    hub: Arc<Hub>,
    sandbox: Arc<Sandbox>,
    archive: Arc<Archive>,
    /// Where events are kept.
    data: Option<PathBuf>,
    /// What is not kept in this run.
    not_kept: Vec<NotKept>,
    state: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    communes: Vec<WatchedCommune>,
    clock: WatchedClock,
}

#[derive(Debug)]
struct WatchedCommune {
    id: CommuneId,
    cameras: Vec<CameraId>,
    lost_after: Duration,
}

impl HouseConditions {
    pub(crate) fn new(
        hub: Arc<Hub>,
        sandbox: Arc<Sandbox>,
        archive: Arc<Archive>,
        data: &DataFolder,
    ) -> Self {
        Self {
            hub,
            sandbox,
            archive,
            data: data.path().map(Path::to_owned),
            not_kept: data.not_kept().to_vec(),
            state: Mutex::new(Looked {
                communes: Vec::new(),
                clock: WatchedClock::new(clock::now(), clock::wall()),
            }),
        }
    }

    /// From now on these are looked at.
    pub(crate) fn configure(&self, communes: &[Arc<Commune>]) {
        let watched = communes.iter().map(|commune| WatchedCommune {
            id: commune.id.clone(),
            cameras: commune.cameras.iter().map(|c| c.id.clone()).collect(),
            lost_after: commune.events.lost_after,
        });
        let mut looked = self.state.lock().unwrap_or_else(|e| e.into_inner());
        looked.communes = watched.collect();
    }

    fn camera(&self, commune: &WatchedCommune, camera: &CameraId) -> Option<Condition> {
        let key = taimat_base::CameraKey::new(commune.id.clone(), camera.clone());
        Profile::ALL.into_iter().find_map(|profile| {
            let channel = self.hub.get(&ChannelKey::new(key.clone(), profile))?;
            away(commune, camera, profile, &channel.status())
        })
    }
}

/// A camera that gives no pictures although it should.
fn away(
    commune: &WatchedCommune,
    camera: &CameraId,
    profile: Profile,
    status: &Status,
) -> Option<Condition> {
    let (kind, wait) = match status.state {
        SourceState::Offline => ("camera-lost", commune.lost_after),
        SourceState::Stalled => ("camera-frozen", SHORT.min(commune.lost_after)),
        SourceState::Live | SourceState::Idle | SourceState::Connecting => return None,
    };
    let cause = status.cause.map_or("", |cause| cause.as_str());
    let detail = status.detail.as_deref().unwrap_or("");
    Some(Condition {
        commune: commune.id.clone(),
        camera: Some(camera.clone()),
        kind,
        about: String::new(),
        text: format!("{profile}: {cause}: {detail}"),
        wait,
        severity: Severity::Warning,
    })
}

fn plugin(commune: &CommuneId, status: &PluginStatus) -> Vec<Condition> {
    let error = status.last_error.as_ref();
    let text = error.map_or(String::new(), |error| error.text.clone());
    let condition = |kind, camera: Option<CameraId>, severity| Condition {
        commune: commune.clone(),
        camera,
        kind,
        about: status.name.to_string(),
        text: text.clone(),
        wait: SHORT,
        severity,
    };
    if status.state == PluginState::Refused {
        return vec![condition("plugin-refused", None, Severity::Warning)];
    }
    let mut conditions = Vec::new();
    if status.change_refused {
        conditions.push(condition("plugin-change-refused", None, Severity::Notice));
    }
    let paused = status
        .cameras
        .iter()
        .filter(|(_, run)| matches!(run.state, RunState::Suspended | RunState::Refused));
    conditions.extend(
        paused.map(|(camera, _)| {
            condition("plugin-suspended", Some(camera.clone()), Severity::Warning)
        }),
    );
    conditions
}

/// What is the matter with recordings.
fn recording(trouble: Trouble) -> Condition {
    let (kind, severity, wait) = match trouble.kind {
        TroubleKind::Full => ("archive-full", Severity::Alarm, Duration::ZERO),
        TroubleKind::Short => ("space-short", Severity::Warning, Duration::ZERO),
        TroubleKind::Failing => ("archive-failing", Severity::Alarm, SHORT),
        TroubleKind::Copy => ("copy-failing", Severity::Warning, SHORT),
        TroubleKind::Storage => ("storage-failing", Severity::Warning, SHORT),
        TroubleKind::Damaged => ("archive-damaged", Severity::Warning, Duration::ZERO),
    };
    Condition {
        commune: trouble.commune,
        camera: trouble.camera.map(|key| key.camera),
        kind,
        about: trouble.about,
        text: trouble.text,
        wait,
        severity,
    }
}

impl Conditions for HouseConditions {
    fn cameras(&self, commune: &CommuneId) -> Vec<(CameraId, bool, SystemTime)> {
        let looked = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let cameras = looked.communes.iter().filter(|known| known.id == *commune);
        let cameras = cameras.flat_map(|known| known.cameras.iter().cloned());
        cameras
            .filter_map(|camera| {
                let key = taimat_base::CameraKey::new(commune.clone(), camera.clone());
                let channel = self.hub.get(&ChannelKey::new(key, Profile::Main))?;
                let status = channel.status();
                // One that nobody looks at is not away.
                let there = matches!(status.state, SourceState::Live | SourceState::Idle);
                Some((camera, there, status.since))
            })
            .collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut looked = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let jumped = looked.clock.look(clock::now(), clock::wall());
        let short = self.data.as_deref().and_then(|data| {
            let disk = nix::sys::statvfs::statvfs(data).ok()?;
            let unit = disk.fragment_size();
            let (free, all) = (disk.blocks_available() * unit, disk.blocks() * unit);
            (free < SHORT_BYTES && free < all / 20).then_some(free)
        });
        let mut conditions: Vec<Condition> =
            self.archive.troubles().into_iter().map(recording).collect();
        for commune in &looked.communes {
            let cameras = commune.cameras.iter();
            conditions.extend(cameras.filter_map(|camera| self.camera(commune, camera)));
            for status in self.sandbox.list(&commune.id) {
                conditions.extend(plugin(&commune.id, &status));
            }
            let of_all = |kind, text| Condition {
                commune: commune.id.clone(),
                camera: None,
                kind,
                about: String::new(),
                text,
                wait: Duration::ZERO,
                severity: Severity::Warning,
            };
            conditions.extend(self.not_kept.iter().map(|not| Condition {
                about: not.what.as_str().to_owned(),
                severity: Severity::Alarm,
                ..of_all("data-unusable", not.why.clone())
            }));
            let megabytes = short.map(|free| format!("{} MiB free", free >> 20));
            conditions.extend(megabytes.map(|text| of_all("disk-short", text)));
            let seconds = jumped.map(|by| format!("by {by:+.1} s"));
            conditions.extend(seconds.map(|text| of_all("clock-stepped", text)));
        }
        conditions
    }
}

/// Whether the wall's clock goes as the other does.
#[derive(Debug)]
struct WatchedClock {
    now: Instant,
    wall: SystemTime,
    /// When it jumped last, and by how many seconds.
    jumped: Option<(Instant, f64)>,
}

impl WatchedClock {
    fn new(now: Instant, wall: SystemTime) -> Self {
        Self {
            now,
            wall,
            jumped: None,
        }
    }

    fn look(&mut self, now: Instant, wall: SystemTime) -> Option<f64> {
        let passed = now.saturating_duration_since(self.now);
        let by = match wall.duration_since(self.wall + passed) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        };
        (self.now, self.wall) = (now, wall);
        if by.abs() >= JUMP.as_secs_f64() {
            self.jumped = Some((now, by));
        }
        let said = |then: &(Instant, f64)| now.saturating_duration_since(then.0) < JUMP_SAID;
        self.jumped.filter(said).map(|(_, by)| by)
    }
}

#[cfg(test)]
mod tests {
    use taimat_hub::FaultCause;

    use super::*;

    #[test]
    fn a_clock_that_is_set_has_jumped() {
        let second = Duration::from_secs(1);
        let (now, wall) = (clock::now(), SystemTime::UNIX_EPOCH + second * 1_000_000);
        let mut watched = WatchedClock::new(now, wall);
        assert_eq!(watched.look(now + second, wall + second), None);
        // Slewed by NTP.
        assert_eq!(
            watched.look(now + second * 2, wall + second * 2 + second / 2),
            None
        );
        let hour = second * 3600;
        let back = watched
            .look(now + second * 3, wall + second * 3 - hour)
            .unwrap();
        assert!((back + 3600.5).abs() < 0.01, "{back}");
        assert!(
            watched
                .look(now + second * 60, wall + second * 60 - hour)
                .is_some()
        );
        assert_eq!(
            watched.look(now + second * 64, wall + second * 64 - hour),
            None
        );
    }

    #[test]
    fn a_camera_is_away_when_it_should_give_pictures_and_does_not() {
        let commune = WatchedCommune {
            id: "thu".parse().unwrap(),
            cameras: vec![],
            lost_after: Duration::from_secs(60),
        };
        let camera: CameraId = "cho".parse().unwrap();
        let status = |state| Status {
            cause: Some(FaultCause::Refused),
            detail: Some("nothing listens".into()),
            ..Status::new(state, SystemTime::UNIX_EPOCH)
        };
        let kind = |state| {
            let condition = away(&commune, &camera, Profile::Main, &status(state));
            condition.map(|c| (c.kind, c.wait.as_secs(), c.text))
        };
        let lost = Some((
            "camera-lost",
            60,
            "main: refused: nothing listens".to_owned(),
        ));
        assert_eq!(kind(SourceState::Offline), lost);
        assert_eq!(kind(SourceState::Stalled).unwrap().0, "camera-frozen");
        assert_eq!(kind(SourceState::Idle), None);
        assert_eq!(kind(SourceState::Live), None);
    }
}
