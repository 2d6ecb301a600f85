use taimat_base::budget::BudgetMetrics;
use taimat_hub::Limits;

use super::*;
use crate::testing::live_channel;
use crate::webrtc::offer::tests::CHROMIUM;

/// What a viewer may do to its session, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// More candidates, under the session's tag.
    Candidates,
    /// The same, with the credentials that the session has: some players send these along with `*`.
    SameCredentials,
    /// A new ICE session.
    Restart,
    /// A new ICE session under the tag of the one that there is, which nobody may ask for.
    RestartByTag,
    /// A new ICE session, without saying which.
    RestartForNothing,
    /// Under the tag that the session had at first.
    FirstTag,
    Delete,
}

const STEPS: [Step; 7] = [
    Step::Candidates,
    Step::SameCredentials,
    Step::Restart,
    Step::RestartByTag,
    Step::RestartForNothing,
    Step::FirstTag,
    Step::Delete,
];

struct Viewer<'a> {
    whep: &'a Whep,
    token: String,
    tag: String,
    first_tag: String,
    credentials: IceCredentials,
    restarts: u32,
    deleted: bool,
}

fn fragment_of(credentials: Option<&IceCredentials>) -> String {
    let lines = credentials
        .map(|IceCredentials { ufrag, pwd }| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n"));
    let lines = lines.unwrap_or_default();
    format!(
        "{lines}m=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 7 typ host\r\n"
    )
}

impl<'a> Viewer<'a> {
    async fn join(whep: &'a Whep, camera: &CameraKey) -> Self {
        let answer = whep.offer(PeerNetwork::Alone(1), camera, None, CHROMIUM.as_bytes());
        let answer = answer.await.unwrap();
        let offer = Offer::parse(CHROMIUM.as_bytes()).unwrap();
        let PeerTransport { ufrag, pwd, .. } = offer.transport(0).unwrap().clone();
        Self {
            whep,
            token: answer.token,
            first_tag: answer.etag.clone(),
            tag: answer.etag,
            credentials: IceCredentials { ufrag, pwd },
            restarts: 0,
            deleted: false,
        }
    }

    async fn patch(&self, tags: &str, fragment: &str) -> Result<Fragment, Refusal> {
        let tags = EntityTags::parse(tags);
        self.whep.fragment(&self.token, &tags, fragment).await
    }

    /// Does it, and holds the answer against what the session is.
    async fn take(&mut self, step: Step) {
        let tag = format!("\"{}\"", self.tag);
        let other = IceCredentials::make(0);
        let answered = match step {
            Step::Delete => {
                assert_eq!(self.whep.delete(&self.token), !self.deleted);
                self.deleted = true;
                return;
            }
            Step::Candidates => self.patch(&tag, &fragment_of(None)).await,
            Step::SameCredentials => self.patch("*", &fragment_of(Some(&self.credentials))).await,
            Step::Restart => self.patch("*", &fragment_of(Some(&other))).await,
            Step::RestartByTag => self.patch(&tag, &fragment_of(Some(&other))).await,
            Step::RestartForNothing => self.patch("*", "a=mid:0\r\n").await,
            Step::FirstTag => self.patch(&self.first_tag, &fragment_of(None)).await,
        };
        match step {
            _ if self.deleted => assert!(matches!(answered, Err(Refusal::UnknownSession))),
            Step::Restart => {
                let Ok(Fragment::Restarted { sdp, etag }) = answered else {
                    panic!("{answered:?}")
                };
                assert!(sdp.contains("a=mid:0\r\n") && etag != self.tag, "{sdp}");
                (self.tag, self.credentials) = (etag, other);
                self.restarts += 1;
            }
            Step::RestartByTag | Step::RestartForNothing => {
                assert!(matches!(answered, Err(Refusal::Fragment(_))))
            }
            Step::FirstTag if self.restarts > 0 => {
                assert!(matches!(answered, Err(Refusal::Stale)));
            }
            _ => assert_eq!(answered.unwrap(), Fragment::Trickled, "{step:?}"),
        }
    }
}

#[tokio::test]
async fn whatever_order_a_viewer_asks_in_it_is_told_what_its_session_is() {
    let (stop, hub, like) = (Stop::new(), Arc::new(Hub::new()), live_channel());
    let camera = &like.key().camera;
    let channel = hub.ensure(like.key(), Limits::default());
    channel.set_info(like.info().unwrap().as_ref().clone());
    channel.set_status(like.status());
    let registry = taimat_base::metrics::Registry::new();
    let places = BudgetMetrics::register(&registry).unwrap();
    let config = WhepConfig {
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        public: Vec::new(),
        threads: 1,
        places: ViewerPlaces {
            sessions: places.allot("viewers", 4),
            offers: places.allot("offers", 4),
        },
    };
    let metrics = Arc::new(EgressMetrics::register(&registry).unwrap());
    let tracks = Arc::new(Tracks::new(&stop, Limits::default()));
    let whep = Whep::start(&config, hub, tracks, metrics, &stop).unwrap();
    for first in STEPS {
        for second in STEPS {
            for third in STEPS {
                let mut viewer = Viewer::join(&whep, camera).await;
                for step in [first, second, third, Step::Delete] {
                    viewer.take(step).await;
                }
            }
        }
    }
    assert_eq!(whep.sessions().len(), 0);
    whep.shut_down(Duration::from_secs(5)).await;
}
