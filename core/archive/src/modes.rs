//! What is recorded of each camera at present: by the file and its hours, then by the policy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, CommuneId, Seldom, clock};
use taimat_contract::policy::RecordingMode;
use taimat_contract::{Policies, UnixMicros};
use taimat_hub::ChannelKey;

use crate::archive::{Archive, Configured};
use crate::config::{CommuneArchive, Mode};
use crate::moment::now;
use crate::reason::GapReason;
use crate::recorder::{AllWanted, Wanted};

/// How long a policy may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

/// Where nothing new is recorded: the disk, or what a commune or a camera may have, is full of what may not go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) disk: bool,
    pub(crate) communes: HashSet<CommuneId>,
    pub(crate) cameras: HashSet<CameraKey>,
}

impl Refusals {
    fn cover(&self, camera: &CameraKey) -> bool {
        self.disk || self.communes.contains(&camera.commune) || self.cameras.contains(camera)
    }
}

/// Says what is recorded, at each full minute and when something changes, until told to stop.
pub(crate) async fn run(
    archive: Arc<Archive>,
    policies: Arc<dyn Policies>,
    mut refusals: tokio::sync::watch::Receiver<Refusals>,
    stop: Stop,
) {
    let mut changes = archive.changes();
    let mut failing: BTreeMap<CommuneId, Seldom> = BTreeMap::new();
    let mut ruled: HashMap<CameraKey, RecordingMode> = HashMap::new();
    loop {
        let configured = archive.configured();
        let at = now();
        ask(&configured, policies.as_ref(), at, &mut ruled, &mut failing).await;
        loop {
            let refused = refusals.borrow_and_update().clone();
            let wanted = Arc::new(wanted(&configured, &ruled, &refused, now()));
            archive.wanted().send_if_modified(|current| {
                let differs = *current != wanted;
                *current = wanted;
                differs
            });
            let minute = MINUTE - now().0.rem_euclid(MINUTE);
            let minute = Duration::from_micros(u64::try_from(minute).unwrap_or(0));
            let due = clock::now() + minute;
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(due) => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                changed = refusals.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Asks the policies. What one does not answer stays as it was said before.
async fn ask(
    configured: &Configured,
    policies: &dyn Policies,
    at: UnixMicros,
    ruled: &mut HashMap<CameraKey, RecordingMode>,
    failing: &mut BTreeMap<CommuneId, Seldom>,
) {
    let there: HashSet<CameraKey> = cameras(configured).collect();
    ruled.retain(|camera, _| there.contains(camera));
    for (id, commune) in configured {
        let asked = commune.policy.as_ref();
        let policy = asked.and_then(|name| policies.policy(id, name));
        let Some(policy) = policy else {
            // As the file says.
            ruled.retain(|camera, _| camera.commune != *id || asked.is_some());
            continue;
        };
        for own in &commune.cameras {
            let answer = policy.recording(&own.camera.camera, at);
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(mode)) => drop(ruled.insert(own.camera.clone(), mode)),
                Ok(Err(error)) => {
                    if failing
                        .entry(id.clone())
                        .or_default()
                        .say(clock::now())
                        .is_some()
                    {
                        tracing::warn!(commune = %id, %error, "the policy does not say what is recorded");
                    }
                    break;
                }
                Err(_late) => break,
            }
        }
    }
}

fn cameras(configured: &Configured) -> impl Iterator<Item = CameraKey> + '_ {
    let all = configured.values().flat_map(|commune| &commune.cameras);
    all.map(|own| own.camera.clone())
}

fn wanted(
    configured: &Configured,
    ruled: &HashMap<CameraKey, RecordingMode>,
    refusals: &Refusals,
    at: UnixMicros,
) -> AllWanted {
    let mut all = AllWanted::new();
    for commune in configured.values() {
        let commune: &CommuneArchive = commune;
        for own in &commune.cameras {
            let said = ruled.get(&own.camera).copied().unwrap_or_default();
            let mode = own.mode_at(at, &commune.facts).ruled(said);
            let refused = refusals.cover(&own.camera).then_some(GapReason::NoRoom);
            for profile in &own.profiles {
                let key = ChannelKey::new(own.camera.clone(), *profile);
                all.insert(key, Wanted { mode, refused });
            }
        }
    }
    // Of a camera that never was recorded it is not noted that it is not.
    all.retain(|key, wanted| wanted.mode != Mode::Off || ever(configured, &key.camera));
    all
}

/// Whether a camera is recorded at any time.
fn ever(configured: &Configured, camera: &CameraKey) -> bool {
    let commune = configured.get(&camera.commune);
    let own = commune.and_then(|c| c.cameras.iter().find(|own| own.camera == *camera));
    own.is_some_and(|own| {
        own.mode != Mode::Off
            || own.schedule.iter().any(|one| one.mode != Mode::Off)
            || commune.is_some_and(|commune| commune.policy.is_some())
    })
}

#[cfg(test)]
mod tests {
    use taimat_base::{CommuneId, Profile};
    use taimat_contract::CommuneFacts;

    use super::*;
    use crate::config::{CameraArchive, Keep, Scheduled};

    fn key() -> CameraKey {
        CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap())
    }

    fn configured(mode: Mode, schedule: Vec<Scheduled>) -> Configured {
        let commune: CommuneId = "thu".parse().unwrap();
        let own = CommuneArchive {
            commune: commune.clone(),
            cameras: vec![CameraArchive {
                camera: key(),
                profiles: vec![Profile::Main],
                mode,
                schedule,
                keep: Keep::default(),
                quota: None,
            }],
            quota: None,
            storage: None,
            policy: None,
            stores: Vec::new(),
            facts: Arc::new(CommuneFacts {
                time_zone: "Asia/Ho_Chi_Minh".into(),
                ..CommuneFacts::default()
            }),
            said: String::new(),
        };
        Configured::from([(commune, Arc::new(own))])
    }

    fn at(time: &str) -> UnixMicros {
        let at: jiff::Timestamp = time.parse().unwrap();
        UnixMicros(at.as_microsecond())
    }

    fn mode(
        configured: &Configured,
        ruled: &HashMap<CameraKey, RecordingMode>,
        time: &str,
    ) -> Option<Wanted> {
        let all = wanted(configured, ruled, &Refusals::default(), at(time));
        all.get(&ChannelKey::new(key(), Profile::Main)).copied()
    }

    #[test]
    fn hours_change_the_mode_by_the_communes_own_clock() {
        let scheduled = |hours: &str, mode| Scheduled {
            days: None,
            hours: Some(hours.parse().unwrap()),
            mode,
        };
        let nights = vec![
            scheduled("02:00-03:00", Mode::Off),
            scheduled("22:00-05:00", Mode::Continuous),
        ];
        let configured = configured(Mode::OnEvent, nights);
        let none = HashMap::new();
        // Seven hours later than in Greenwich.
        for (time, expected) in [
            ("2026-11-26T14:59:59Z", Mode::OnEvent),
            ("2026-11-26T15:00:00Z", Mode::Continuous),
            ("2026-11-26T18:59:59Z", Mode::Continuous),
            // The first that applies.
            ("2026-11-26T19:00:00Z", Mode::Off),
            ("2026-11-26T20:00:00Z", Mode::Continuous),
            ("2026-11-26T22:00:00Z", Mode::OnEvent),
        ] {
            let wanted = mode(&configured, &none, time).unwrap();
            assert_eq!((wanted.mode, wanted.refused), (expected, None), "{time}");
        }
        // What a policy says is over all of it.
        let ruled = HashMap::from([(key(), RecordingMode::Continuous)]);
        let wanted = mode(&configured, &ruled, "2026-11-26T19:30:00Z").unwrap();
        assert_eq!(wanted.mode, Mode::Continuous);
        let ruled = HashMap::from([(key(), RecordingMode::Usual)]);
        let wanted = mode(&configured, &ruled, "2026-11-26T19:30:00Z").unwrap();
        assert_eq!(wanted.mode, Mode::Off);
    }

    #[test]
    fn of_a_camera_that_never_is_recorded_nothing_is_noted() {
        let none = HashMap::new();
        assert_eq!(
            mode(
                &configured(Mode::Off, Vec::new()),
                &none,
                "2026-11-26T00:00:00Z"
            ),
            None
        );
        let configured = configured(Mode::Continuous, Vec::new());
        let full = Refusals {
            cameras: HashSet::from([key()]),
            ..Refusals::default()
        };
        let all = wanted(&configured, &none, &full, at("2026-11-26T00:00:00Z"));
        let own = all[&ChannelKey::new(key(), Profile::Main)];
        assert_eq!(
            (own.mode, own.refused),
            (Mode::Continuous, Some(GapReason::NoRoom))
        );
    }
}
