//! What is counted about places.

use std::time::Duration;

use taimat_base::CommuneId;
use taimat_base::metrics::{Error, HistogramVec, IntCounterVec, Owner, Owners, Register, Registry};
use taimat_contract::place::PlaceError;

/// Whose series.
type Key = (CommuneId, String);

/// What is done at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Put,
    Stat,
    Get,
    Delete,
    List,
    Space,
}

impl Doing {
    const ALL: [Self; 6] = [
        Self::Put,
        Self::Stat,
        Self::Get,
        Self::Delete,
        Self::List,
        Self::Space,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Stat => "stat",
            Self::Get => "get",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Space => "space",
        }
    }
}

const RESULTS: [&str; 7] = [
    "done",
    "missing",
    "later",
    "refused",
    "unsupported",
    "differs",
    "source",
];

fn result<T>(ended: &Result<T, PlaceError>) -> &'static str {
    match ended {
        Ok(_) => "done",
        Err(PlaceError::Missing) => "missing",
        Err(PlaceError::Later { .. }) => "later",
        Err(PlaceError::Refused(_)) => "refused",
        Err(PlaceError::Unsupported) => "unsupported",
        Err(PlaceError::Differs(_)) => "differs",
        Err(PlaceError::Source(_)) => "source",
    }
}

/// All metrics of places.
#[derive(Debug, Clone)]
pub(crate) struct PlaceMetrics {
    operations: IntCounterVec,
    seconds: HistogramVec,
    bytes: IntCounterVec,
    owners: Owners<Key>,
}

/// One place's series, until they are ended.
#[derive(Debug)]
pub(crate) struct OfAPlace {
    all: PlaceMetrics,
    owner: Owner<Key>,
}

impl PlaceMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        Ok(Self {
            operations: r.counters(
                "taimat_place_operations_total",
                "Operations at a place for copies, by what became of them.",
                &["commune", "place", "operation", "result"],
            )?,
            seconds: r.histograms(
                "taimat_place_operation_seconds",
                "Time that an operation took; of what is fetched, to the answer's beginning.",
                &["commune", "place", "operation"],
                &[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
            )?,
            bytes: r.counters(
                "taimat_place_bytes_total",
                "Bytes put to a place, and asked back from it.",
                &["commune", "place", "operation"],
            )?,
            owners: Owners::default(),
        })
    }

    /// The series of a place. Counters begin at 0, so that the first time is seen.
    pub(crate) fn of(&self, commune: &CommuneId, place: &str) -> OfAPlace {
        let key = (commune.clone(), place.to_owned());
        let (owner, ()) = self.owners.begin(key, || {
            let commune = commune.as_str();
            for doing in Doing::ALL {
                for result in RESULTS {
                    let labels = [commune, place, doing.as_str(), result];
                    self.operations.with_label_values(&labels).inc_by(0);
                }
            }
            for doing in [Doing::Put, Doing::Get] {
                let labels = [commune, place, doing.as_str()];
                self.bytes.with_label_values(&labels).inc_by(0);
            }
        });
        OfAPlace {
            all: self.clone(),
            owner,
        }
    }
}

impl OfAPlace {
    /// An operation came to its end.
    pub(super) fn ended<T>(&self, doing: Doing, ended: &Result<T, PlaceError>, took: Duration) {
        self.owner.with(|(commune, place)| {
            let labels = [commune.as_str(), place, doing.as_str()];
            let seconds = self.all.seconds.with_label_values(&labels);
            seconds.observe(took.as_secs_f64());
            let labels = [commune.as_str(), place, doing.as_str(), result(ended)];
            self.all.operations.with_label_values(&labels).inc();
        });
    }

    /// So many bytes.
    pub(super) fn moved(&self, doing: Doing, bytes: u64) {
        self.owner.with(|(commune, place)| {
            let labels = [commune.as_str(), place, doing.as_str()];
            self.all.bytes.with_label_values(&labels).inc_by(bytes);
        });
    }

    /// The place is there no more.
    pub(crate) fn end(&self) {
        self.owner.end(|(commune, place)| {
            let commune = commune.as_str();
            for doing in Doing::ALL {
                for result in RESULTS {
                    let labels = [commune, place, doing.as_str(), result];
                    // What was never made can not be removed, and is not there either.
                    let _gone = self.all.operations.remove_label_values(&labels);
                }
                let labels = [commune, place, doing.as_str()];
                let _gone = self.all.seconds.remove_label_values(&labels);
                let _gone = self.all.bytes.remove_label_values(&labels);
            }
        });
    }
}
