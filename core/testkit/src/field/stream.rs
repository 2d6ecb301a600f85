//! What a file may say about packets, clocks, and what else a camera does.

use serde::Deserialize;

/// How pictures become packets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Packets {
    /// Bytes of a payload at most.
    pub size: usize,
    /// Sets, and which of them, stand in the stream.
    pub sets: InBand,
    /// Bytes behind the end of each sequence parameter set.
    pub trailing: Vec<u8>,
    /// Each picture begins with a delimiter.
    pub delimiters: bool,
    /// Where information that nobody asked for stands.
    pub sei: Option<SeiPlace>,
    /// Units of these types before each picture.
    pub vendor_units: Vec<u8>,
    /// Start codes in payloads.
    pub start_codes: StartCodes,
    /// Units that travel together.
    pub aggregate: Aggregate,
    /// Aggregates and first fragments carry a decoding order number (STAP-B, FU-B).
    pub decoding_order: bool,
    /// Where the marker is.
    pub marker: Marker,
    /// The last fragment has its end bit.
    pub end_bit: bool,
    /// Small units are single fragments.
    pub always_fragments: bool,
    /// An empty fragment behind each that is not the last.
    pub empty_fragments: bool,
    /// The unit's type in fragments after the first.
    pub later_type: Option<u8>,
    /// Zeros behind the end of each unit.
    pub zeros: usize,
    /// RTP padding, in bytes.
    pub padding: u8,
    /// An RTP header extension.
    pub extension: bool,
    /// Contributing sources.
    pub csrc: u8,
    /// The payload type on the wire, if it is another one.
    pub payload_type: Option<u8>,
    /// The first sequence number.
    pub first: u16,
    /// Numbers start over every so many pictures.
    pub restart_every: usize,
    /// Another SSRC every so many pictures.
    pub other_source_every: usize,
    /// RTCP BYE before that.
    pub goodbye: bool,
    /// In every so manyth picture the first two packets are swapped.
    pub swap_every: usize,
    /// Every so manyth packet is sent twice.
    pub double_every: usize,
    /// Every so manyth packet is lost.
    pub lose_every: usize,
    /// Packets that belong to no track: every so many pictures one on channel 6, one of another type.
    pub stray_every: usize,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            size: 1300,
            sets: InBand::AsEncoded,
            trailing: Vec::new(),
            delimiters: false,
            sei: None,
            vendor_units: Vec::new(),
            start_codes: StartCodes::None,
            aggregate: Aggregate::None,
            decoding_order: false,
            marker: Marker::PictureEnd,
            end_bit: true,
            always_fragments: false,
            empty_fragments: false,
            later_type: None,
            zeros: 0,
            padding: 0,
            extension: false,
            csrc: 0,
            payload_type: None,
            first: 1000,
            restart_every: 0,
            other_source_every: 0,
            goodbye: false,
            swap_every: 0,
            double_every: 0,
            lose_every: 0,
            stray_every: 0,
        }
    }
}

/// Parameter sets in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InBand {
    /// As the encoder wrote them.
    AsEncoded,
    /// None.
    Never,
    /// Before each picture.
    EachPicture,
    /// Before each slice.
    EachSlice,
}

/// Where supplemental information stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeiPlace {
    /// Before the first slice of every picture.
    Before,
    /// Between slices, where none may be.
    Between,
    /// Behind the last slice.
    After,
}

/// Start codes in payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartCodes {
    /// None.
    None,
    /// Three bytes before each unit.
    Three,
    /// Four bytes before each unit.
    Four,
    /// The sets and the key picture are one unit with start codes inside.
    Joined,
    /// All units of a picture are one.
    WholePicture,
}

/// Units that travel in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// None.
    None,
    /// Parameter sets, and what else stands before the slices.
    Sets,
    /// Whatever fits.
    All,
}

/// Where the marker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// On the last packet of a picture.
    PictureEnd,
    /// Nowhere.
    Never,
    /// On the last packet of each unit.
    EachUnit,
    /// On sets, besides the end of the picture.
    Sets,
    /// On the first packet of a picture instead.
    First,
    /// On delimiters only.
    Delimiters,
    /// On every packet.
    Every,
}

/// Its clocks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Time {
    /// Milliseconds from picture to picture.
    pub every: u64,
    /// Ticks from picture to picture.
    pub step: u32,
    /// The first RTP timestamp.
    pub first: u32,
    /// A jump every so many pictures.
    pub jump_every: u32,
    /// By so many ticks.
    pub jump: u32,
    /// Ticks from slice to slice of one picture.
    pub slice_step: u32,
    /// Sender reports.
    pub reports: Reports,
    /// Sender reports once in so many milliseconds.
    pub reports_every: u64,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            every: 100,
            step: 9000,
            first: 12345,
            jump_every: 0,
            jump: 0,
            slice_step: 0,
            reports: Reports::None,
            reports_every: 1000,
        }
    }
}

/// Sender reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reports {
    /// None.
    None,
    /// With the time of day.
    Right,
    /// With the beginning of 1970, and on from there.
    #[serde(rename = "1970")]
    Epoch,
    /// With the year 2036, in which the number starts over.
    #[serde(rename = "2036")]
    Overflow,
    /// With zeros.
    Zero,
    /// With a time that jumps by an hour, forth and back.
    Jumping,
    /// With the time of day, on the channel of the media.
    MediaChannel,
    /// One with the time of day before any media, and nothing after.
    First,
}

/// What else it does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Misbehaves {
    /// So many stray bytes between packets after every tenth picture.
    pub stray_bytes: usize,
    /// So many packets before the answer to PLAY.
    pub early_packets: usize,
    /// Nothing is sent by UDP.
    pub silent_udp: bool,
    /// Pictures stop after so many; sound goes on.
    pub pictures_stop_after: Option<usize>,
    /// It hangs up after so many pictures.
    pub hangs_up_after: Option<usize>,
    /// It means harm.
    pub hostile: Option<Hostile>,
}

/// What harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hostile {
    /// Connects and says nothing.
    HalfOpen,
    /// Answers with bytes that are no RTSP, and goes on.
    Noise,
    /// Bytes of chance instead of a description, without end.
    EndlessNoise,
    /// Headers without end.
    EndlessHeaders,
    /// One header without end.
    EndlessLine,
    /// A description of four gigabytes.
    EndlessDescription,
    /// Interleaved frames instead of an answer, without end.
    FramesInsteadOfAnswers,
    /// A description with 60,000 tracks.
    ManyTracks,
    /// RTP headers of chance.
    GarbageRtp,
    /// Says H.264 and sends H.265.
    LyingCodec,
    /// A fragmented unit that never ends.
    EndlessUnit,
    /// A picture that never ends: units without marker, with one timestamp.
    EndlessPicture,
    /// Timestamps of chance.
    RandomTimes,
    /// Aggregates of one-byte units.
    TinyAggregates,
    /// Other parameter sets with every picture.
    ChangingSets,
    /// Parameter sets of chance with every picture.
    RandomSets,
    /// Sender reports as fast as the link takes them.
    ReportFlood,
    /// Pictures as fast as the link takes them.
    PictureFlood,
    /// Pictures of one byte as fast as the link takes them.
    TinyPictureFlood,
    /// Requests as fast as the link takes them.
    RequestFlood,
}
