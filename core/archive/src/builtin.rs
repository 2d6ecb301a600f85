//! What becomes of segments where no storage plugin decides: all is kept for some days, and what events are
//! about for longer.

use std::time::Duration;

use taimat_contract::Severity;
use taimat_contract::storage::{Placed, Segment};

use crate::config::Keep;
use crate::facts::LOCAL;

/// What is recorded only for what events may be about stays so long: an event may want the minute before it.
const RING: Duration = Duration::from_secs(180);

/// The copies that there are to be: the one here.
pub(crate) fn place(segment: &Segment, on_event: bool, keep: Keep) -> Placed {
    let end = segment
        .start
        .after(Duration::from_millis(segment.duration_ms.into()));
    let matters = segment.highest.filter(|highest| *highest >= keep.severity);
    let (span, worth) = match (matters, on_event) {
        (Some(severity), _) => (keep.events, worth(severity)),
        (None, true) => (RING, 5),
        // That nothing was seen says less where nobody looked.
        (None, false) => (keep.usual, if segment.watched { 20 } else { 40 }),
    };
    Placed {
        target: LOCAL.into(),
        until: end.after(span),
        worth,
    }
}

fn worth(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 60,
        Severity::Notice => 100,
        Severity::Warning => 160,
        Severity::Alarm => 220,
    }
}

#[cfg(test)]
mod tests {
    use taimat_contract::UnixMicros;

    use super::*;

    const START: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn segment(highest: Option<Severity>, watched: bool) -> Segment {
        Segment {
            id: 1,
            camera: "cho".into(),
            start: START,
            duration_ms: 60_000,
            size: 1,
            watched,
            kinds: Vec::new(),
            highest,
            held: false,
            keep_until: None,
            copies: Vec::new(),
        }
    }

    #[test]
    fn what_happened_is_kept_longer_and_goes_last() {
        let keep = Keep::default();
        let quiet = place(&segment(None, true), false, keep);
        let unwatched = place(&segment(None, false), false, keep);
        let alarm = place(&segment(Some(Severity::Alarm), true), false, keep);
        assert_eq!(
            quiet.until.since(START),
            keep.usual + Duration::from_secs(60)
        );
        assert!(alarm.until > quiet.until);
        assert!(quiet.worth < unwatched.worth && unwatched.worth < alarm.worth);
    }

    #[test]
    fn what_only_waits_for_an_event_goes_soon() {
        let keep = Keep {
            severity: Severity::Warning,
            ..Keep::default()
        };
        let ring = place(&segment(None, true), true, keep);
        assert_eq!(ring.until.since(START), RING + Duration::from_secs(60));
        let little = place(&segment(Some(Severity::Notice), true), true, keep);
        assert_eq!(little.until, ring.until);
        let much = place(&segment(Some(Severity::Warning), true), true, keep);
        assert_eq!(
            much.until.since(START),
            keep.events + Duration::from_secs(60)
        );
    }
}
