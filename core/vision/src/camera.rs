//! One camera that is being decoded: follows its encoded stream, decodes what somebody needs,
//! hands frames to those for whom they are due.

use std::sync::{Arc, Weak};
use std::time::Duration;

use taimat_base::tasks::Stop;
use taimat_base::{CameraKey, Profile, Seldom, clock};
use taimat_contract::UnixMicros;
use taimat_hub::{Channel, ChannelKey, Hub, Read};
use taimat_media::{AccessUnit, MediaTime, TrackKind, VideoCodec};

use crate::decode::Resilient;
use crate::metrics::CameraMetrics;
use crate::picture::Picture;
use crate::pool::{Place, Pool};
use crate::slot::{Moment, Slot};
use crate::watchers::Watchers;

/// When decoding is further behind than this, it goes on at the next key frame: an old picture is
/// worth less than the time it costs.
const MAX_LAG: Duration = Duration::from_secs(2);
/// The same where every picture stands alone, so that none has to be waited for.
const MAX_LAG_INTRA: Duration = Duration::from_millis(250);
/// How soon to look again for a camera that is not there.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Follows the camera until nobody watches it.
pub(crate) async fn run(
    watchers: Weak<Watchers>,
    gone: Stop,
    hub: Arc<Hub>,
    pool: Arc<Pool>,
    metrics: CameraMetrics,
) {
    let mut decoding = Decoding {
        place: pool.place(),
        decoder: None,
        metrics,
        stream: StreamClock::default(),
        behind: false,
        restarted: Seldom::default(),
    };
    loop {
        let channel = watchers.upgrade().and_then(|w| find(&hub, w.camera()));
        let follow = async {
            match channel {
                Some(channel) => decoding.follow(&watchers, &channel).await,
                None => clock::sleep_until(clock::now() + LOOK_AGAIN).await,
            }
        };
        tokio::select! {
            () = follow => {}
            () = gone.cancelled() => return,
        }
    }
}

/// The small picture, if the camera has one.
fn find(hub: &Hub, camera: &CameraKey) -> Option<Arc<Channel>> {
    let of = |profile| hub.get(&ChannelKey::new(camera.clone(), profile));
    of(Profile::Sub).or_else(|| of(Profile::Main))
}

struct Decoding {
    place: Place,
    /// `None` while it is away, decoding.
    decoder: Option<Box<Resilient>>,
    metrics: CameraMetrics,
    stream: StreamClock,
    behind: bool,
    restarted: Seldom,
}

/// Frames made of one access unit, and whom they are for.
type Made = Vec<(Arc<Slot>, Arc<Picture>)>;

impl Decoding {
    /// Decodes a channel until it ends.
    async fn follow(&mut self, watchers: &Weak<Watchers>, channel: &Arc<Channel>) {
        let _reader = channel.join();
        let mut cursor = channel.read();
        self.decoder = None;
        loop {
            match cursor.next().await {
                Read::Item(_, unit) if unit.track == TrackKind::Video => {
                    let Some(watchers) = watchers.upgrade() else {
                        return;
                    };
                    self.take(&watchers, channel, &unit).await;
                }
                Read::Item(..) => {}
                Read::Lost(units) => {
                    self.metrics.skipped.inc_by(units);
                    self.wait_for_key();
                }
                Read::Closed => return,
            }
        }
    }

    fn wait_for_key(&mut self) {
        if let Some(decoder) = &mut self.decoder {
            decoder.wait_for_key();
        }
    }

    async fn take(&mut self, watchers: &Watchers, channel: &Channel, unit: &Arc<AccessUnit>) {
        if unit.lost_packets > 0 || unit.damaged {
            // This access unit or the one before is damaged or missing; decoders are not to guess.
            self.wait_for_key();
        }
        let Some(codec) = codec(channel, unit) else {
            return;
        };
        let slots = watchers.slots();
        if !self.is_worth_it(codec, unit, &slots) {
            self.wait_for_key();
            return;
        }
        let stream_time = self.stream.at(unit.media_time);
        let key = unit.keyframe;
        let due: Vec<Arc<Slot>> = slots
            .into_iter()
            .filter(|s| s.is_due(stream_time, key))
            .collect();
        if due.is_empty() && codec.is_intra_only() {
            return;
        }
        let Some(made) = self.decode(codec, unit, due).await else {
            return;
        };
        let moment = Moment {
            camera: watchers.camera().camera.clone(),
            at: UnixMicros::from(unit.wall_time),
            key,
        };
        for (slot, picture) in made {
            slot.deliver(picture, &moment, stream_time);
            self.metrics.delivered.inc();
        }
    }

    /// Whether decoding keeps up with the camera, and somebody wants such a picture.
    fn is_worth_it(&mut self, codec: VideoCodec, unit: &AccessUnit, slots: &[Arc<Slot>]) -> bool {
        let lag = clock::now().saturating_duration_since(unit.received);
        self.behind = if codec.is_intra_only() {
            lag > MAX_LAG_INTRA
        } else {
            lag > MAX_LAG && (self.behind || !unit.keyframe)
        };
        if self.behind {
            self.metrics.skipped.inc();
        }
        let wanted = unit.keyframe || !slots.iter().all(|s| s.keyframes_only());
        wanted && !self.behind
    }

    /// Decodes when it is this camera's turn. `None` if the decoder was lost with the job.
    async fn decode(
        &mut self,
        codec: VideoCodec,
        unit: &Arc<AccessUnit>,
        due: Vec<Arc<Slot>>,
    ) -> Option<Made> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) if decoder.codec() == codec => decoder,
            _ => Box::new(Resilient::new(codec)),
        };
        let encoded = Arc::clone(unit);
        let begin = clock::now();
        let done = self
            .place
            .run(move || {
                let begin = clock::thread_now();
                let mut decoded = decoder.decode(&encoded);
                let count = decoded.pictures.len();
                let made = decoded.pictures.pop().map(|p| scaled(p, due));
                (
                    decoder,
                    decoded.restart,
                    count,
                    made,
                    clock::thread_now() - begin,
                )
            })
            .await;
        let (decoder, restart, count, made, cost) = done?;
        self.decoder = Some(decoder);
        self.metrics.decoded.inc_by(count as u64);
        self.metrics.cpu.inc_by(cost.as_secs_f64());
        let waited = (clock::now() - begin).saturating_sub(cost);
        self.metrics.waited.inc_by(waited.as_secs_f64());
        if let Some((restart, detail)) = restart {
            if let Some(unsaid) = self.restarted.say(clock::now()) {
                let cause = restart.as_str();
                tracing::warn!(cause, detail, unsaid, "decoding starts over");
            }
            self.metrics.restart(restart);
        }
        Some(made.unwrap_or_default())
    }
}

fn codec(channel: &Channel, unit: &AccessUnit) -> Option<VideoCodec> {
    let of_unit = unit.params.as_ref().map(|p| p.codec);
    of_unit.or_else(|| Some(channel.info()?.video.as_ref()?.codec))
}

/// A picture at the size that each of them wants, made once per size.
fn scaled(picture: Picture, due: Vec<Arc<Slot>>) -> Made {
    let picture = Arc::new(picture);
    let mut sizes: Vec<Arc<Picture>> = vec![Arc::clone(&picture)];
    let of_size = |slot: Arc<Slot>| {
        let (width, height) = slot.size(picture.width, picture.height);
        let known = sizes
            .iter()
            .find(|p| (p.width, p.height) == (width, height));
        let frame = known.cloned().unwrap_or_else(|| {
            let made = Arc::new(picture.scaled(width, height));
            sizes.push(Arc::clone(&made));
            made
        });
        (slot, frame)
    };
    due.into_iter().map(of_size).collect()
}

/// The stream's own time, going on when the camera's jumps.
#[derive(Debug, Default)]
struct StreamClock {
    last: Option<MediaTime>,
    elapsed: Duration,
}

impl StreamClock {
    fn at(&mut self, media_time: MediaTime) -> Duration {
        const JUMP: Duration = Duration::from_secs(10);
        let step = match self.last {
            // A camera that restarted has jumped; its next frame is due all the same. A little back
            // is the order of B-frames.
            Some(last) if last.since(media_time) > Duration::from_secs(1) => JUMP,
            Some(last) => media_time.since(last).min(JUMP),
            None => Duration::ZERO,
        };
        self.last = Some(media_time);
        self.elapsed += step;
        self.elapsed
    }
}
