//! RTCP (RFC 3550 section 6) as far as a receiver of cameras needs it: what cameras report, and the
//! reports they want back.
//!
//! Reading allocates nothing, so that a camera that floods us with reports costs next to nothing.

/// Packets of one compound that are looked at; real ones have two or three.
const MAX_PACKETS: usize = 64;
/// Most blocks that fit the count in a report's header.
const MAX_BLOCKS: usize = 31;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// The item of a source description that names the participant.
const CNAME: u8 = 1;

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// The same moment on two clocks of the sender.
    SenderReport {
        /// Whose clocks.
        ssrc: u32,
        /// Time of day, as a 64-bit NTP timestamp; 0 if it has none.
        ntp: u64,
        /// The same on the RTP clock of the source.
        rtp: u32,
    },
    /// Sources that end.
    Goodbye {
        /// Which ones.
        ssrcs: Sources<'a>,
    },
    /// What a receiver has no use for.
    Other,
}

/// A list of sources as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources<'a>(&'a [[u8; 4]]);

impl<'a> Sources<'a> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }
}

/// Whether these bytes are RTCP rather than RTP, for cameras that send both on one channel: the
/// types 200 to 207 would be the payload types 72 to 79 with a marker, which RTP leaves free for
/// this reason (RFC 5761 section 4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 200..=207, ..] if first >> 6 == 2)
}

/// The packets of a compound. What comes behind damage is not read; a packet that says it is longer
/// than the bytes there are ends with them.
pub fn read(mut compound: &[u8]) -> impl Iterator<Item = Rtcp<'_>> {
    std::iter::from_fn(move || {
        let [first, packet_type, high, low] = *compound.first_chunk()?;
        if first >> 6 != 2 {
            return None;
        }
        let words = usize::from(u16::from_be_bytes([high, low]));
        let len = (4 * (words + 1)).min(compound.len());
        let (packet, rest) = compound.split_at_checked(len)?;
        compound = rest;
        let body = packet.get(4..)?;
        Some(match packet_type {
            SENDER_REPORT => sender_report(body).unwrap_or(Rtcp::Other),
            GOODBYE => {
                let (all, _) = body.as_chunks();
                let count = usize::from(first & 0x1F).min(all.len());
                Rtcp::Goodbye {
                    ssrcs: Sources(&all[..count]),
                }
            }
            _ => Rtcp::Other,
        })
    })
    .take(MAX_PACKETS)
}

fn sender_report(body: &[u8]) -> Option<Rtcp<'_>> {
    let (ssrc, rest) = body.split_first_chunk()?;
    let (ntp, rest) = rest.split_first_chunk()?;
    Some(Rtcp::SenderReport {
        ssrc: u32::from_be_bytes(*ssrc),
        ntp: u64::from_be_bytes(*ntp),
        rtp: u32::from_be_bytes(*rest.first_chunk()?),
    })
}

/// How the reception of one source goes (RFC 3550 section 6.4.1). Made by
/// [`Reception::report`](super::Reception::report).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// Which source.
    pub ssrc: u32,
    /// Lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Lost since it began, on the wire 24 bits; duplicates make it smaller, even negative.
    pub cumulative_lost: i32,
    /// The highest sequence number, counted on over 65,535.
    pub highest: u32,
    /// Interarrival jitter in ticks of the RTP clock.
    pub jitter: u32,
    /// The middle 32 bits of the time in the last sender report; 0 if there was none.
    pub last_report: u32,
    /// Since that arrived, in 65,536ths of a second.
    pub delay: u32,
}

/// A receiver report and who sends it. At most 31 blocks and 255 bytes of the name fit; more are
/// left out.
pub fn receiver_report(own_ssrc: u32, name: &str, blocks: &[ReportBlock]) -> Vec<u8> {
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    let name = &name.as_bytes()[..name.len().min(255)];
    let mut out = Vec::with_capacity(8 + 24 * blocks.len() + 12 + name.len() + 4);
    header(
        &mut out,
        blocks.len(),
        RECEIVER_REPORT,
        1 + 6 * blocks.len(),
    );
    out.extend(own_ssrc.to_be_bytes());
    for block in blocks {
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF);
        out.extend(block.ssrc.to_be_bytes());
        out.push(block.fraction_lost);
        out.extend(&lost.to_be_bytes()[1..]);
        for field in [block.highest, block.jitter, block.last_report, block.delay] {
            out.extend(field.to_be_bytes());
        }
    }
    // The list of items ends with one to four zeros, so that the chunk fills whole words.
    let words = (4 + 2 + name.len()) / 4 + 1;
    let end = out.len() + 4 + 4 * words;
    header(&mut out, 1, SOURCE_DESCRIPTION, words);
    out.extend(own_ssrc.to_be_bytes());
    out.extend([CNAME, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
    out.extend(name);
    out.resize(end, 0);
    out
}

/// Version 2, a count of at most 31, the type, and the length in words without this one.
fn header(out: &mut Vec<u8>, count: usize, packet_type: u8, words: usize) {
    out.push(0x80 | u8::try_from(count).unwrap_or(0x1F));
    out.push(packet_type);
    out.extend(u16::try_from(words).unwrap_or(u16::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: [u8; 28] = [
        0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x30, 0x39, 0, 0, 0, 1, 0, 0, 0,
        2,
    ];
    const SENT: Rtcp<'static> = Rtcp::SenderReport {
        ssrc: 7,
        ntp: 0x0102_0304_0506_0708,
        rtp: 12_345,
    };

    fn goodbyes(packet: &[u8]) -> Vec<Vec<u32>> {
        read(packet)
            .filter_map(|p| match p {
                Rtcp::Goodbye { ssrcs } => Some(ssrcs.iter().collect()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn reads_a_compound_up_to_the_garbage() {
        let mut compound = REPORT.to_vec();
        compound.extend([0x81, 202, 0, 2, 0, 0, 0, 7, 1, 1, b'x', 0]);
        compound.extend([0x82, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8]);
        let whole: Vec<_> = read(&compound).collect();
        assert_eq!(whole[..2], [SENT, Rtcp::Other]);
        assert_eq!(goodbyes(&compound), [vec![7, 8]]);
        compound.extend(b"what is this?");
        assert_eq!(read(&compound).count(), 3);
    }

    #[test]
    fn wrong_lengths_and_counts_end_with_the_bytes() {
        let mut long = REPORT;
        long[3] = 99;
        assert_eq!(read(&long).collect::<Vec<_>>(), [SENT]);
        assert_eq!(read(&REPORT[..20]).collect::<Vec<_>>(), [SENT]);
        assert_eq!(read(&REPORT[..19]).collect::<Vec<_>>(), [Rtcp::Other]);
        assert_eq!(goodbyes(&[0x9F, 203, 0, 9, 0, 0, 0, 7, 1]), [vec![7]]);
        assert_eq!(goodbyes(&[0x80, 203, 0, 0]), [Vec::<u32>::new()]);
    }

    #[test]
    fn a_compound_of_nothing_is_not_read_to_its_end() {
        let flood = [0x80, 204, 0, 0].repeat(16_000);
        assert_eq!(read(&flood).count(), MAX_PACKETS);
    }

    #[test]
    fn tells_rtcp_from_rtp() {
        assert!(is_rtcp(&REPORT));
        assert!(!is_rtcp(&[0x80, 0xE0, 0, 1]) && !is_rtcp(&[0x80]) && !is_rtcp(&[0, 200]));
    }

    #[test]
    fn writes_a_report_and_a_name() {
        let block = ReportBlock {
            ssrc: 7,
            fraction_lost: 64,
            cumulative_lost: -2,
            highest: 0x0001_0002,
            jitter: 3,
            last_report: 0x0304_0506,
            delay: 65_536,
        };
        let expected = [
            0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 7, 64, 0xFF, 0xFF, 0xFE, 0, 1, 0, 2, 0, 0, 0, 3,
            3, 4, 5, 6, 0, 1, 0, 0, // and who says so
            0x81, 202, 0, 3, 0, 0, 0, 1, 1, 3, b'a', b'b', b'c', 0, 0, 0,
        ];
        assert_eq!(receiver_report(1, "abc", &[block]), expected);
        let many = receiver_report(1, &"n".repeat(300), &[block; 40]);
        assert_eq!((many[0], many.len() % 4), (0x9F, 0));
        assert_eq!(read(&many).count(), 2);
    }

    proptest! {
        #[test]
        fn names_of_every_length_fill_whole_words(name in "[a-z]{0,20}") {
            let report = receiver_report(9, &name, &[]);
            prop_assert_eq!(read(&report).count(), 2);
            let words = usize::from(report[11]);
            prop_assert_eq!(report.len(), 8 + 4 + 4 * words);
            prop_assert_eq!(report.last(), Some(&0));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 200_u8..204) {
            let mut likely = vec![0x81, head, 0, 2];
            likely.extend(&bytes);
            for input in [&bytes, &likely] {
                prop_assert!(read(input).count() <= MAX_PACKETS);
                goodbyes(input);
            }
        }
    }
}
