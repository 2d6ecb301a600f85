//! When to try again, and how: a state machine over the outcomes of attempts.

use std::time::Duration;

use taimat_base::backoff::Backoff;
use taimat_hub::FaultCause;
use taimat_rtsp::client::Way;

use crate::fault::Fault;
use crate::rtsp::Plan;
use crate::source::{AfterRefusal, SourceSpec};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A wrong password does not become right by itself, and cameras lock accounts: minutes, then hours.
const AFTER_REFUSAL: [Duration; 4] = [
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(6 * 60 * 60),
];
/// The same password has let us in before: cameras say no while they start.
const AFTER_GLITCH: Duration = Duration::from_secs(15);
/// So many failures are remembered: it takes no more to wait longest.
const REMEMBERED: usize = 7;
/// Longest wait for a key frame: more than the longest groups that are sold as "smart".
const LONGEST_PATIENCE: Duration = Duration::from_secs(150);

/// What comes after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt after this long.
    After(Duration),
    /// None until the configuration changes.
    Never,
}

#[derive(Debug)]
pub(crate) struct Retry {
    after_refusal: AfterRefusal,
    keyframe_timeout: Duration,
    ways: Vec<Way>,
    backoff: Backoff,
    /// What the failures since the last good run made us wait, the newest last.
    waits: Vec<Duration>,
    /// The other way was already tried for this failure.
    switched: bool,
    refusals: usize,
    let_in: bool,
    patience: u32,
}

impl Retry {
    pub(crate) fn new(spec: &SourceSpec) -> Self {
        let seed = spec
            .key
            .to_string()
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        Self {
            after_refusal: spec.after_refusal,
            keyframe_timeout: spec.keyframe_timeout,
            ways: spec.transport.ways().to_vec(),
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY, seed),
            waits: Vec::new(),
            switched: false,
            refusals: 0,
            let_in: false,
            patience: 0,
        }
    }

    /// How to go about the next attempt.
    pub(crate) fn plan(&self) -> Plan {
        let patience = self
            .keyframe_timeout
            .saturating_mul(1 << self.patience.min(8));
        let longest = LONGEST_PATIENCE.max(self.keyframe_timeout);
        Plan {
            ways: self.ways.clone(),
            patience: patience.min(longest),
        }
    }

    /// How many failures are not forgiven yet.
    pub(crate) fn failures(&self) -> usize {
        self.waits.len()
    }

    /// The camera took our credentials.
    pub(crate) fn let_in(&mut self) {
        self.let_in = true;
        self.refusals = 0;
    }

    /// Nothing is wrong: a source on demand is not asked for any more.
    pub(crate) fn rested(&mut self) {
        self.waits.clear();
        self.backoff.succeed();
    }

    /// An attempt failed after pictures had come for `ran`.
    pub(crate) fn failed(&mut self, fault: &Fault, ran: Duration) -> Next {
        self.forgive(ran);
        if self.other_way(fault) {
            return Next::After(Duration::ZERO);
        }
        // The next failure may try the other way again.
        self.switched = false;
        match fault.cause {
            FaultCause::NoKeyframe => self.patience += 1,
            FaultCause::Unauthorized => return self.refused(),
            // It would be the same next time: a secret is read with the configuration.
            FaultCause::MissingSecret => return Next::Never,
            _ => {}
        }
        let wait = self.backoff.fail();
        if self.waits.len() == REMEMBERED {
            self.waits.remove(0);
        }
        self.waits.push(wait);
        Next::After(wait)
    }

    /// Whether another way of transport is to be tried at once.
    pub(crate) fn other_way(&mut self, fault: &Fault) -> bool {
        let other = fault.transport_refused && self.ways.len() > 1 && !self.switched;
        if other {
            self.switched = true;
            // Nobody's network is flooded because a camera was silent: multicast comes only after a
            // refusal.
            self.ways.swap(0, 1);
        }
        other
    }

    /// A run makes up for a failure when it is as long as what that failure made us wait: a camera
    /// that comes for ten seconds and goes again does not begin anew each time.
    fn forgive(&mut self, mut ran: Duration) {
        if ran > Duration::ZERO {
            self.patience = 0;
        }
        while let Some(wait) = self.waits.last().copied().filter(|wait| *wait <= ran) {
            ran -= wait;
            self.waits.pop();
            self.backoff.forgive_one();
        }
    }

    fn refused(&mut self) -> Next {
        if std::mem::take(&mut self.let_in) {
            return Next::After(AFTER_GLITCH);
        }
        if self.after_refusal == AfterRefusal::Stop {
            return Next::Never;
        }
        let last = AFTER_REFUSAL.len() - 1;
        let wait = AFTER_REFUSAL[self.refusals.min(last)];
        self.refusals += 1;
        Next::After(wait)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::source::{Credentials, Mode, Transport, Trust};
    use taimat_hub::{ChannelKey, Limits};

    pub(crate) fn spec(transport: Transport, after_refusal: AfterRefusal) -> SourceSpec {
        let camera = taimat_base::CameraKey::new("thu".parse().unwrap(), "cho".parse().unwrap());
        let url: url::Url = "rtsp://127.0.0.1/cam".parse().unwrap();
        SourceSpec {
            key: ChannelKey::new(camera, taimat_base::Profile::Main),
            url: taimat_base::redact::SourceUrl::new(url),
            credentials: Credentials::None,
            trust: Trust::System,
            transport,
            video: None,
            keep_alive: Default::default(),
            user_agent: None,
            clock: Default::default(),
            mode: Mode::Always,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(4),
            keyframe_timeout: Duration::from_secs(20),
            after_refusal,
            audio: false,
            limits: Limits::default(),
        }
    }

    fn fault(cause: FaultCause) -> Fault {
        Fault::new(cause, "x")
    }

    fn seconds(next: Next) -> u64 {
        match next {
            Next::After(wait) => wait.as_secs(),
            Next::Never => u64::MAX,
        }
    }

    #[test]
    fn a_wrong_password_is_tried_ever_more_seldom() {
        let mut retry = Retry::new(&spec(Transport::Tcp, AfterRefusal::Wait));
        let mut waits =
            (0..6).map(|_| seconds(retry.failed(&fault(FaultCause::Unauthorized), Duration::ZERO)));
        assert_eq!(waits.next(), Some(120));
        assert_eq!(waits.last(), Some(6 * 3600));
        let mut retry = Retry::new(&spec(Transport::Tcp, AfterRefusal::Stop));
        let next = retry.failed(&fault(FaultCause::Unauthorized), Duration::ZERO);
        assert_eq!(next, Next::Never);
    }

    #[test]
    fn who_was_let_in_before_is_tried_again_soon_once() {
        let mut retry = Retry::new(&spec(Transport::Tcp, AfterRefusal::Stop));
        retry.let_in();
        let unauthorized = fault(FaultCause::Unauthorized);
        assert_eq!(seconds(retry.failed(&unauthorized, Duration::ZERO)), 15);
        assert_eq!(retry.failed(&unauthorized, Duration::ZERO), Next::Never);
    }

    #[test]
    fn a_run_forgives_what_it_is_as_long_as() {
        let mut retry = Retry::new(&spec(Transport::Tcp, AfterRefusal::Wait));
        let ended = fault(FaultCause::Ended);
        for _ in 0..12 {
            retry.failed(&ended, Duration::ZERO);
        }
        // A camera that comes for ten seconds at a time waits long in between.
        for _ in 0..5 {
            assert!(seconds(retry.failed(&ended, Duration::from_secs(10))) >= 15);
        }
        let next = retry.failed(&ended, Duration::from_secs(3600));
        assert!(seconds(next) < 1, "{next:?}");
    }

    #[test]
    fn the_other_way_is_tried_at_once_and_only_once() {
        let mut retry = Retry::new(&spec(Transport::Udp, AfterRefusal::Wait));
        let silent = Fault {
            transport_refused: true,
            ..fault(FaultCause::Stalled)
        };
        assert_eq!(retry.plan().ways, [Way::Udp, Way::Tcp, Way::Multicast]);
        assert_eq!(
            retry.failed(&silent, Duration::ZERO),
            Next::After(Duration::ZERO)
        );
        assert_eq!(retry.plan().ways, [Way::Tcp, Way::Udp, Way::Multicast]);
        assert_ne!(
            retry.failed(&silent, Duration::ZERO),
            Next::After(Duration::ZERO)
        );
        let mut only = Retry::new(&spec(Transport::UdpOnly, AfterRefusal::Wait));
        assert_ne!(
            only.failed(&silent, Duration::ZERO),
            Next::After(Duration::ZERO)
        );
        assert_eq!(only.plan().ways, [Way::Udp]);
    }

    #[test]
    fn waits_longer_for_a_key_frame_each_time() {
        let mut retry = Retry::new(&spec(Transport::Tcp, AfterRefusal::Wait));
        let mut patience = Vec::new();
        for _ in 0..5 {
            patience.push(retry.plan().patience.as_secs());
            retry.failed(&fault(FaultCause::NoKeyframe), Duration::ZERO);
        }
        assert_eq!(patience, [20, 40, 80, 150, 150]);
    }
}
