//! What cameras do that the standards do not say, as a closed set of words: each is a metric label,
//! a word in the API and a sentence in the console. A quirk is tolerated; what is not is a fault.

use serde::Serialize;

macro_rules! quirks {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// Something that a camera does, and that is put up with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Quirk {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Quirk {
            /// All quirks, in the order in which they are shown.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$name),+];

            /// The word in metrics and in the API.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// What it means, and what to do about it, in a sentence or two.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

quirks! {
    // How it speaks RTSP.
    /// Bytes between messages that belong to none.
    StrayBytes = "stray_bytes",
    /// Lines of its answers that are no header, or end wrongly.
    OddHeaders = "odd_headers",
    /// A body that is longer or shorter than announced.
    WrongLength = "wrong_length",
    /// An answer whose number is not the request's, or that has none.
    WrongCseq = "wrong_cseq",
    /// Requests to us.
    AsksUs = "asks_us",
    /// A base address in its description that leads nowhere; the one it was asked at is used.
    WrongBase = "wrong_base",
    /// It sent us to another address of its own.
    Redirects = "redirects",
    /// No session where there has to be one, or another one than before.
    OddSession = "odd_session",
    /// It does not answer what keeps the session alive.
    SilentKeepAlive = "silent_keep_alive",
    /// It answers SETUP with another transport, other channels or ports than were asked for.
    OtherTransport = "other_transport",
    /// It refuses or does not fill the transport that was asked for first; the other one serves.
    TransportRefused = "transport_refused",
    // How it describes itself.
    /// Lines of its description that say nothing that is understood.
    OddDescription = "odd_description",
    /// Parameter sets in the description, or in the stream, that can not be read; others are used.
    UnreadableSets = "unreadable_sets",
    /// Parameter sets with bytes behind their end.
    TrailingBytes = "trailing_bytes",
    /// More than one video track; the first is taken.
    SeveralVideos = "several_videos",
    /// A track for sound towards the camera.
    BackChannel = "back_channel",
    /// Sound in a form that is not carried; set its sound to G.711, AAC or Opus.
    UnsupportedSound = "unsupported_sound",
    /// Sound that it describes and then refuses.
    RefusedSound = "refused_sound",
    /// Sound that lacks what is needed to decode it.
    UnconfiguredSound = "unconfigured_sound",
    // How it sends packets.
    /// Packets that arrive in another order than they were sent in.
    Reordered = "reordered",
    /// Another source number (SSRC) in the running stream.
    OtherSource = "other_source",
    /// Sequence numbers that start over.
    SequenceRestart = "sequence_restart",
    /// It says goodbye (RTCP BYE) and goes on.
    Goodbye = "goodbye",
    /// Packets for tracks, or of payload types, that were not described.
    StrayPackets = "stray_packets",
    /// More than a camera's share of the processor: it is read more slowly than it sends, and its
    /// pictures come late. Lower its frame rate or its bitrate.
    Floods = "floods",
    // How it forms pictures.
    /// The marker before the end of a picture.
    EarlyMarker = "early_marker",
    /// No marker at the end of a picture.
    NoMarker = "no_marker",
    /// Several timestamps in one picture, or one for several.
    OddTimestamps = "odd_timestamps",
    /// Start codes inside packets.
    StartCodes = "start_codes",
    /// Fragments without an end, or of a type that does not fit their content.
    OddFragments = "odd_fragments",
    /// NAL units of a type that is not known.
    UnknownUnits = "unknown_units",
    /// Key pictures that are no IDR pictures, with which browsers do not start; switch off open GOP in the
    /// camera.
    NoIdr = "no_idr",
    /// Pictures that are refreshed bit by bit, without key pictures; switch off intra refresh in the
    /// camera.
    GradualRefresh = "gradual_refresh",
    /// More than ten seconds from one key frame to the next: a lost packet is seen that long. Shorten
    /// the keyframe interval, or switch off the smart codec (H.264+, H.265+) in the camera.
    LongGroups = "long_groups",
    // What it says about time.
    /// Timestamps that stand still, or run at a wrong rate.
    OddClock = "odd_clock",
    /// Timestamps that jump.
    ClockJumps = "clock_jumps",
    /// A time of day that can not be believed; set the time server (NTP) in the camera.
    WrongTimeOfDay = "wrong_time_of_day",
}

/// How often each quirk was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks([u32; Quirk::ALL.len()]);

impl Default for Quirks {
    fn default() -> Self {
        Self([0; Quirk::ALL.len()])
    }
}

impl Quirks {
    /// It was seen once more.
    pub fn note(&mut self, quirk: Quirk) {
        self.add(quirk, 1);
    }

    /// It was seen so many times more.
    pub fn add(&mut self, quirk: Quirk, times: u32) {
        let count = &mut self.0[quirk as usize];
        *count = count.saturating_add(times);
    }

    /// How often it was seen.
    pub fn count(&self, quirk: Quirk) -> u32 {
        self.0[quirk as usize]
    }

    /// Those that were seen, and how often.
    pub fn seen(&self) -> impl Iterator<Item = (Quirk, u32)> + '_ {
        Quirk::ALL
            .into_iter()
            .map(|quirk| (quirk, self.count(quirk)))
            .filter(|(_, count)| *count > 0)
    }

    /// What was seen since the last time this was asked; starts over.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Adds what somebody else has seen.
    pub fn merge(&mut self, other: &Self) {
        for (quirk, times) in other.seen() {
            self.add(quirk, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_those_of_serde() {
        let mut words: Vec<_> = Quirk::ALL.map(Quirk::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Quirk::ALL.len());
    }

    #[test]
    fn counts_merge() {
        let (mut one, mut other) = (Quirks::default(), Quirks::default());
        one.note(Quirk::NoMarker);
        other.add(Quirk::NoMarker, 2);
        other.note(Quirk::Goodbye);
        one.merge(&other);
        let seen: Vec<_> = one.seen().collect();
        assert_eq!(seen, [(Quirk::Goodbye, 1), (Quirk::NoMarker, 3)]);
        assert_eq!(one.take().count(Quirk::NoMarker), 3);
        assert_eq!(one, Quirks::default());
    }
}
