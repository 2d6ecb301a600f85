use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use taimat_base::tasks::Stop;
use taimat_hub::Limits;

use super::super::ice::IceSeed;
use super::super::identity::Identity;
use super::super::info::SessionFigures;
use super::super::negotiate::agree;
use super::super::offer::{Offer, tests::CHROMIUM};
use super::*;
use crate::testing::live_channel;
use crate::track::Tracks;

/// A worker whose queue has room for one command, and how its sessions ended.
struct Stand {
    worker: Worker,
    arrivals: std::cell::Cell<Option<Arrivals>>,
    ended: Arc<Mutex<Vec<EndReason>>>,
}

impl Stand {
    fn new(index: usize) -> Self {
        let registry = taimat_base::metrics::Registry::new();
        let (queue, commands) = sync_channel(1);
        let (arrivals, bell) = Arrivals::new().unwrap();
        let queue = CommandQueue::new(queue, Some(Arc::clone(&bell)));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&ended);
        Self {
            worker: Worker {
                index,
                sockets: Arc::new([]),
                commands,
                bell,
                queues: vec![queue; index + 1].into(),
                metrics: Arc::new(EgressMetrics::register(&registry).unwrap()),
                routes: Arc::default(),
                news: SessionNews {
                    connected: Arc::new(|_id| ()),
                    ended: Arc::new(move |_id, reason| noted.lock().unwrap().push(reason)),
                },
            },
            arrivals: std::cell::Cell::new(Some(arrivals)),
            ended,
        }
    }

    /// Its thread, which does not run by itself.
    fn state(&self, now: Instant) -> WorkerState<'_> {
        let arrivals = self.arrivals.take().unwrap();
        WorkerState::new(&self.worker, arrivals, now)
    }

    fn ended(&self) -> Vec<EndReason> {
        self.ended.lock().unwrap().clone()
    }
}

/// A session with that track, and what others know of it.
fn session(track: &Arc<Track>, metrics: &EgressMetrics) -> (SessionSeed, Arc<SessionFigures>) {
    let identity = Identity::generate().unwrap();
    let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
    let figures = Arc::new(SessionFigures::new(SessionId::next(), "H.264"));
    let seed = SessionSeed {
        figures: Arc::clone(&figures),
        track: Arc::clone(track),
        agreement: agree(&offer, track.info(), [1, 2]).unwrap(),
        ice: IceSeed {
            local: IceCredentials::make(0),
            remote: IceCredentials::make(0),
            controlling: false,
            candidates: Vec::new(),
            locals: vec!["127.0.0.1:1".parse().unwrap()],
            provider: Arc::clone(identity.provider()),
        },
        dtls: identity
            .handshake(offer.transport(0).unwrap().fingerprints.clone())
            .unwrap(),
        metrics: metrics.viewer(track.key()),
    };
    (seed, figures)
}

fn track() -> (Tracks, Arc<Track>) {
    let channel = live_channel();
    let tracks = Tracks::new(&Stop::new(), Limits::default());
    let track = tracks.watch(&channel, &channel.info().unwrap());
    (tracks, track)
}

#[tokio::test]
async fn a_track_that_has_ended_ends_its_sessions_even_if_the_wake_up_found_no_room() {
    let (stand, (_tracks, track)) = (Stand::new(0), track());
    let now = clock::now();
    let mut state = stand.state(now);
    let (seed, figures) = session(&track, &stand.worker.metrics);
    state.create(seed, now);
    state.join(figures.id, now);
    let other = SenderCommand::End(SessionId::next(), EndReason::Deleted);
    assert!(stand.worker.queues[0].try_send(other).is_ok());
    track.ring().close();
    track.wake_all();
    assert!(matches!(
        stand.worker.commands.try_recv(),
        Ok(SenderCommand::End(..))
    ));
    assert!(stand.worker.commands.try_recv().is_err());
    state.look_around(now + IDLE);
    assert_eq!(stand.ended(), [EndReason::SourceChanged]);
}

#[tokio::test]
async fn a_session_that_is_to_end_does_so_without_a_command() {
    let (stand, (_tracks, track)) = (Stand::new(0), track());
    let now = clock::now();
    let mut state = stand.state(now);
    let (seed, figures) = session(&track, &stand.worker.metrics);
    state.create(seed, now);
    figures.end_with(EndReason::Revoked);
    figures.end_with(EndReason::Deleted);
    state.run_timers(now + Duration::from_secs(3));
    assert_eq!(stand.ended(), [EndReason::Revoked]);
}

#[test]
fn the_end_of_a_session_leaves_the_route_of_another_thread() {
    let stand = Stand::new(0);
    let [ours, theirs]: [SocketAddr; 2] = [1, 2].map(|port| ([10, 0, 0, 1], port).into());
    let id = SessionId::next();
    let mut state = stand.state(clock::now());
    state.by_peer.extend([(ours, id), (theirs, id)]);
    let routes = &stand.worker.routes;
    routes.learn(ours, 0);
    routes.learn(theirs, 1);
    state.forget_peers(id);
    assert!(state.by_peer.is_empty());
    assert_eq!(routes.of_peer(&ours), None);
    assert_eq!(routes.of_peer(&theirs), Some(1));
}

#[test]
fn a_route_that_another_thread_took_is_found_missing_with_the_next_check() {
    let stand = Stand::new(0);
    let peer: SocketAddr = ([10, 0, 0, 1], 1).into();
    let id = SessionId::next();
    let mut state = stand.state(clock::now());
    let (check, media): ([u8; 20], [u8; 20]) = ([0; 20], [0x80; 20]);
    assert!(!state.leads_here(peer, id, &check));
    state.by_peer.insert(peer, id);
    assert!(!state.leads_here(peer, id, &check));
    assert!(
        state.leads_here(peer, id, &media),
        "not looked at for each packet"
    );
    let routes = &stand.worker.routes;
    routes.learn(peer, 1);
    assert!(!state.leads_here(peer, id, &check));
    routes.learn(peer, 0);
    assert!(state.leads_here(peer, id, &check));
    assert!(!state.leads_here(peer, SessionId::next(), &check));
}
