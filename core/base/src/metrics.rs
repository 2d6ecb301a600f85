//! One registry for the process; each room registers its own metrics in it.
//!
//! Names follow `taimat_<subject>_<what>_<unit>[_total]`. Labels come from closed sets or from
//! configuration, never from a viewer, an address or a URL.

use prometheus::core::{Atomic, GenericCounter, GenericCounterVec, GenericGauge, GenericGaugeVec};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Opts};

pub use prometheus::{
    Counter, CounterVec, Encoder, Error, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder,
};

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
