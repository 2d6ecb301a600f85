//! Which of the described tracks are received: one video, and one sound if it is wanted.

mod no_sound;
mod parameters;
mod sound;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use taimat_media::{AudioTrack, Quirk, Quirks, TrackKind, VideoCodec};

use crate::sdp::{Description, Direction, Format, Media, MediaKind};

pub use no_sound::NoSound;

/// Tracks that are named when none of them can be carried.
const MAX_OFFERED: usize = 16;

/// What is received of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracks {
    /// Pictures.
    pub video: VideoChoice,
    /// Sound, if it is wanted and can be carried.
    pub audio: Option<AudioChoice>,
    /// Why there is no sound although it is wanted.
    pub no_sound: Option<NoSound>,
    /// Videos that could be carried, this one included.
    pub videos: usize,
    /// What is odd about the tracks.
    pub quirks: Quirks,
}

impl Tracks {
    /// The number in a track's packets.
    pub fn payload_type(&self, kind: TrackKind) -> Option<u8> {
        match kind {
            TrackKind::Video => Some(self.video.payload_type),
            TrackKind::Audio => self.audio.as_ref().map(|audio| audio.payload_type),
        }
    }

    /// Which one of [`Description::media`] a track is.
    pub fn media(&self, kind: TrackKind) -> Option<usize> {
        match kind {
            TrackKind::Video => Some(self.video.media),
            TrackKind::Audio => self.audio.as_ref().map(|audio| audio.media),
        }
    }
}

/// The video that is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoChoice {
    /// Which one of [`Description::media`].
    pub media: usize,
    /// The number in its packets.
    pub payload_type: u8,
    /// How it is encoded.
    pub codec: VideoCodec,
    /// Ticks a second of its RTP clock.
    pub clock_rate: u32,
    /// Parameter sets from the description, as NAL units, in the order in which decoders want them.
    pub sets: Vec<Bytes>,
}

/// The sound that is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioChoice {
    /// Which one of [`Description::media`].
    pub media: usize,
    /// The number in its packets.
    pub payload_type: u8,
    /// What it is.
    pub track: AudioTrack,
}

/// Why nothing can be received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTrack {
    /// None of these can be carried.
    #[error("the camera offers {}; set its video encoding to H.264 or H.265", .0.join(", "))]
    Unsupported(Vec<String>),
    /// The commune asks for a video that is not there, or can not be carried.
    #[error("video {wanted} is asked for; the camera offers {}", .offered.join(", "))]
    NoSuchVideo {
        /// Counted from 0.
        wanted: usize,
        /// What there is.
        offered: Vec<String>,
    },
    /// It describes no track.
    #[error("the camera offers no tracks")]
    Empty,
}

/// Chooses. `which_video` counts the videos from 0; without it the first one that can be carried is
/// taken, JPEG only if there is no other.
pub fn choose(
    description: &Description,
    wants_sound: bool,
    which_video: Option<usize>,
) -> Result<Tracks, NoTrack> {
    let mut quirks = Quirks::default();
    let media = || description.media.iter().enumerate();
    let videos: Vec<_> = media()
        .filter(|(_, m)| m.kind == MediaKind::Video)
        .map(|(index, m)| (index, video_format(m)))
        .collect();
    let videos_carried = videos.iter().filter(|(_, format)| format.is_some()).count();
    let chosen = match which_video {
        Some(wanted) => videos.get(wanted).copied(),
        None => {
            if videos_carried > 1 {
                quirks.note(Quirk::SeveralVideos);
            }
            let carried = videos.iter().filter(|(_, format)| format.is_some());
            carried
                .min_by_key(|(_, format)| format.map(|(codec, _)| codec == VideoCodec::Jpeg))
                .copied()
        }
    };
    let Some((index, Some((codec, format)))) = chosen else {
        return Err(no_track(description, which_video));
    };
    let sets = parameters::sets(codec, &format.parameters);
    if sets.unreadable > 0 {
        quirks.add(Quirk::UnreadableSets, sets.unreadable);
    }
    let (audio, no_sound) = match wants_sound {
        true => choose_sound(description, &description.media[index], &mut quirks),
        false => (None, None),
    };
    Ok(Tracks {
        video: VideoChoice {
            media: index,
            payload_type: format.payload_type,
            codec,
            clock_rate: format.clock_rate,
            sets: sets.units,
        },
        audio,
        no_sound,
        videos: videos_carried,
        quirks,
    })
}

/// The first form of a video that can be carried, JPEG only if there is no other: the number of JPEG
/// is one that firmware lists without sending it.
fn video_format(media: &Media) -> Option<(VideoCodec, &Format)> {
    let carried = media.formats.iter().filter_map(|format| {
        let codec = match format.encoding.as_str() {
            "H264" | "H.264" => VideoCodec::H264,
            "H265" | "H.265" | "HEVC" => VideoCodec::H265,
            "JPEG" => VideoCodec::Jpeg,
            _ => return None,
        };
        Some((codec, format))
    });
    carried.min_by_key(|(codec, _)| *codec == VideoCodec::Jpeg)
}

fn no_track(description: &Description, which_video: Option<usize>) -> NoTrack {
    let offered: Vec<String> = description
        .media
        .iter()
        .map(|media| {
            let name = media.formats.first().map(Format::name);
            format!("{}/{}", media.kind.as_str(), name.unwrap_or_default())
        })
        .take(MAX_OFFERED)
        .collect();
    match which_video {
        _ if offered.is_empty() => NoTrack::Empty,
        Some(wanted) => NoTrack::NoSuchVideo { wanted, offered },
        None => NoTrack::Unsupported(offered),
    }
}

/// The first sound that can be carried, or why there is none.
fn choose_sound(
    description: &Description,
    video: &Media,
    quirks: &mut Quirks,
) -> (Option<AudioChoice>, Option<NoSound>) {
    // ONVIF: what the client sends is `sendonly`. Some cameras mean themselves as the sender; they
    // say it of their pictures as well.
    let confused = video.direction == Some(Direction::SendOnly);
    let mut reason = None;
    let mut back_channels = false;
    for (index, media) in description.media.iter().enumerate() {
        if media.kind != MediaKind::Audio {
            continue;
        }
        if media.direction == Some(Direction::SendOnly) && !confused {
            quirks.note(Quirk::BackChannel);
            back_channels = true;
            continue;
        }
        for format in &media.formats {
            match sound::track(format) {
                Ok(sound) => {
                    if !sound.told {
                        quirks.note(Quirk::UnconfiguredSound);
                    }
                    let choice = AudioChoice {
                        media: index,
                        payload_type: format.payload_type,
                        track: sound.track,
                    };
                    return (Some(choice), None);
                }
                Err(why) => {
                    reason.get_or_insert(why);
                }
            }
        }
    }
    let reason = reason.unwrap_or(match back_channels {
        true => NoSound::BackChannelOnly,
        false => NoSound::NoneOffered,
    });
    match reason {
        NoSound::Unsupported(_) => quirks.note(Quirk::UnsupportedSound),
        NoSound::Unconfigured => quirks.note(Quirk::UnconfiguredSound),
        NoSound::NoneOffered | NoSound::BackChannelOnly | NoSound::Refused => {}
    }
    (None, Some(reason))
}
