//! One registry for the process; each room registers its own metrics in it.
//!
//! Names follow `taimat_<subject>_<what>_<unit>[_total]`. Labels come from closed sets or from
//! configuration, never from a viewer, an address or a URL.

mod owners;

use prometheus::core::{Atomic, GenericCounter, GenericCounterVec, GenericGauge, GenericGaugeVec};
use prometheus::{HistogramOpts, Opts};

pub use prometheus::{
    Counter, CounterVec, Encoder, Error, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

pub use owners::{Owner, Owners};

/// Registers metrics; a name used twice is a mistake in the program and is reported as such.
#[derive(Debug, Clone, Copy)]
pub struct Register<'a>(pub &'a Registry);

impl Register<'_> {
    /// A counter without labels.
    pub fn counter<P: Atomic + 'static>(
        &self,
        name: &str,
        help: &str,
    ) -> Result<GenericCounter<P>, Error> {
        let metric = GenericCounter::new(name, help)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A counter with labels.
    pub fn counters<P: Atomic + 'static>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GenericCounterVec<P>, Error> {
        let metric = GenericCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A gauge without labels.
    pub fn gauge<P: Atomic + 'static>(
        &self,
        name: &str,
        help: &str,
    ) -> Result<GenericGauge<P>, Error> {
        let metric = GenericGauge::new(name, help)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A gauge with labels.
    pub fn gauges<P: Atomic + 'static>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GenericGaugeVec<P>, Error> {
        let metric = GenericGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A histogram without labels.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metric = Histogram::with_opts(opts)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A histogram with labels.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metric = HistogramVec::new(opts, labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// Metrics with a series for each of something, named in one list: the families, one owner's series,
/// how they are registered, made and removed. Where an owner may go and come back, [`Owners`] says whose
/// they are.
///
/// ```
/// use taimat_base::metrics::{Register, Registry};
///
/// taimat_base::series! {
///     /// Of all doors.
///     families DoorFamilies;
///     /// Of one door.
///     series DoorSeries;
///     labels ["house", "door"];
///     opened: counter "taimat_door_opened_total" "Times it was opened.",
///     width: gauge "taimat_door_width_metres" "How wide it is.",
///     moving: seconds "taimat_door_moving_seconds_total" "Time in which it moved.",
///     ajar: measure "taimat_door_ajar_ratio" "How far it is open.",
///     push: histogram [0.1, 1.0] "taimat_door_push_seconds" "Times that pushing took.",
/// }
///
/// let registry = Registry::new();
/// let families = DoorFamilies::register(Register(&registry))?;
/// let door = families.of(["ours", "front"]);
/// door.opened.inc();
/// families.remove(["ours", "front"]);
/// # Ok::<(), taimat_base::metrics::Error>(())
/// ```
#[macro_export]
macro_rules! series {
    (
        $(#[$families_doc:meta])* families $families:ident;
        $(#[$series_doc:meta])* series $series:ident;
        labels [$($label:literal),+];
        $($field:ident: $kind:ident $([$($bucket:expr),+])? $name:literal $help:literal,)+
    ) => {
        $(#[$families_doc])*
        #[derive(Debug)]
        pub(crate) struct $families {
            $($field: $crate::series_of!(family $kind),)+
        }

        impl $families {
            /// How many labels a series has.
            const LABELS: usize = [$($label),+].len();

            /// Registers all of them.
            pub(crate) fn register(
                register: $crate::metrics::Register<'_>,
            ) -> Result<Self, $crate::metrics::Error> {
                let labels = [$($label),+];
                Ok(Self {
                    $($field: $crate::series_of!(
                        register $kind register labels $name $help $([$($bucket),+])?
                    ),)+
                })
            }

            /// One owner's series.
            pub(crate) fn of(&self, labels: [&str; Self::LABELS]) -> $series {
                $series {
                    $($field: self.$field.with_label_values(&labels),)+
                }
            }

            /// Ends an owner's series. Nothing is lost if one was never there.
            pub(crate) fn remove(&self, labels: [&str; Self::LABELS]) {
                $(drop(self.$field.remove_label_values(&labels));)+
            }
        }

        $(#[$series_doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $series {
            $(pub(crate) $field: $crate::series_of!(one $kind),)+
        }
    };
}

/// What [`series!`] makes of a kind of metric: its family, one of its series, how it is registered.
#[doc(hidden)]
#[macro_export]
macro_rules! series_of {
    (family counter) => { $crate::metrics::IntCounterVec };
    (family seconds) => { $crate::metrics::CounterVec };
    (family gauge) => { $crate::metrics::IntGaugeVec };
    (family measure) => { $crate::metrics::GaugeVec };
    (family histogram) => { $crate::metrics::HistogramVec };
    (one counter) => { $crate::metrics::IntCounter };
    (one seconds) => { $crate::metrics::Counter };
    (one gauge) => { $crate::metrics::IntGauge };
    (one measure) => { $crate::metrics::Gauge };
    (one histogram) => { $crate::metrics::Histogram };
    (register histogram $r:ident $labels:ident $name:literal $help:literal [$($bucket:expr),+]) => {
        $r.histograms($name, $help, &$labels, &[$($bucket),+])?
    };
    (register gauge $r:ident $labels:ident $name:literal $help:literal) => {
        $r.gauges($name, $help, &$labels)?
    };
    (register measure $r:ident $labels:ident $name:literal $help:literal) => {
        $r.gauges($name, $help, &$labels)?
    };
    (register $counter:ident $r:ident $labels:ident $name:literal $help:literal) => {
        $r.counters($name, $help, &$labels)?
    };
}
