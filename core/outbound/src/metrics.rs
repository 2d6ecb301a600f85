//! What is counted about channels.

use std::time::Duration;

use taimat_base::metrics::{
    Error, HistogramVec, IntCounterVec, IntGaugeVec, Owner, Owners, Register, Registry,
};
use taimat_base::{ChannelId, CommuneId};

use crate::failure::Outcome;

/// Whose series.
type Key = (CommuneId, ChannelId);

/// All metrics of channels.
#[derive(Debug, Clone)]
pub(crate) struct ChannelMetrics {
    sent: IntCounterVec,
    seconds: HistogramVec,
    connected: IntGaugeVec,
    grant_lost: IntGaugeVec,
    owners: Owners<Key>,
}

/// What is there for a channel beside what all have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// A connection that is kept up.
    pub(crate) connection: bool,
    /// A grant that can be lost.
    pub(crate) grant: bool,
}

/// One channel's series, until they are ended.
#[derive(Debug)]
pub(crate) struct OfAChannel {
    all: ChannelMetrics,
    owner: Owner<Key>,
}

impl ChannelMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let r = Register(registry);
        let labels = ["commune", "channel"];
        Ok(Self {
            sent: r.counters(
                "taimat_channel_sent_total",
                "Attempts to send a message, by what became of them.",
                &["commune", "channel", "result"],
            )?,
            seconds: r.histograms(
                "taimat_channel_send_seconds",
                "Time that an attempt took, with the wait for its turn.",
                &labels,
                &[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
            )?,
            connected: r.gauges(
                "taimat_channel_connected",
                "1 while a channel that keeps its connection up has it.",
                &labels,
            )?,
            grant_lost: r.gauges(
                "taimat_channel_grant_lost",
                "1 when a service takes a channel's grant no more, and somebody has to give a new one.",
                &labels,
            )?,
            owners: Owners::default(),
        })
    }

    /// The series of a channel. Counters begin at 0, so that the first time is seen.
    pub(crate) fn of(&self, commune: &CommuneId, channel: &ChannelId, kept: Kept) -> OfAChannel {
        let key = (commune.clone(), channel.clone());
        let (owner, ()) = self.owners.begin(key, || {
            let (commune, channel) = (commune.as_str(), channel.as_str());
            for outcome in Outcome::ALL {
                let labels = [commune, channel, outcome.as_str()];
                self.sent.with_label_values(&labels).inc_by(0);
            }
            if kept.connection {
                self.connected.with_label_values(&[commune, channel]).set(0);
            }
            if kept.grant {
                self.grant_lost
                    .with_label_values(&[commune, channel])
                    .set(0);
            }
        });
        OfAChannel {
            all: self.clone(),
            owner,
        }
    }
}

impl OfAChannel {
    pub(crate) fn sent(&self, outcome: Outcome, took: Duration) {
        self.owner.with(|(commune, channel)| {
            let (commune, channel) = (commune.as_str(), channel.as_str());
            let labels = [commune, channel, outcome.as_str()];
            self.all.sent.with_label_values(&labels).inc();
            let seconds = self.all.seconds.with_label_values(&[commune, channel]);
            seconds.observe(took.as_secs_f64());
        });
    }

    pub(crate) fn grant_lost(&self, is: bool) {
        self.owner.with(|(commune, channel)| {
            let labels = [commune.as_str(), channel.as_str()];
            self.all
                .grant_lost
                .with_label_values(&labels)
                .set(is.into());
        });
    }

    /// The channel is there no more.
    pub(crate) fn end(&self) {
        self.owner.end(|(commune, channel)| {
            let (commune, channel) = (commune.as_str(), channel.as_str());
            for outcome in Outcome::ALL {
                let labels = [commune, channel, outcome.as_str()];
                // What was never made can not be removed, and is not there either.
                let _gone = self.all.sent.remove_label_values(&labels);
            }
            let labels = [commune, channel];
            let _gone = self.all.seconds.remove_label_values(&labels);
            let _gone = self.all.connected.remove_label_values(&labels);
            let _gone = self.all.grant_lost.remove_label_values(&labels);
        });
    }
}

impl crate::mqtt::Watch for OfAChannel {
    fn connected(&self, is: bool) {
        self.owner.with(|(commune, channel)| {
            let labels = [commune.as_str(), channel.as_str()];
            self.all.connected.with_label_values(&labels).set(is.into());
        });
    }
}
