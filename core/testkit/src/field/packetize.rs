//! From an access unit to payloads of RTP, with everything that cameras do wrongly on the way.

use bytes::{BufMut, Bytes, BytesMut};

use super::case::{Aggregate, InBand, Marker, Packets, SeiPlace, StartCodes};
use super::footage::{Codec, UnitKind};

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The marker of its packet.
    pub marker: bool,
    /// Which slice of the picture it belongs to.
    pub slice: u32,
    /// The bytes.
    pub bytes: Bytes,
}

/// Cuts pictures of one camera.
#[derive(Debug)]
pub struct Packetizer<'a> {
    /// How it cuts.
    pub how: &'a Packets,
    /// What.
    pub codec: Codec,
    /// The parameter sets of what it plays.
    pub sets: &'a [Bytes],
}

impl Packetizer<'_> {
    /// The payloads of an access unit.
    pub fn payloads(&self, unit: &[Bytes]) -> Vec<Payload> {
        let units = self.with_start_codes(self.arranged(unit));
        let mut payloads: Vec<Payload> = Vec::new();
        let mut together: Vec<Bytes> = Vec::new();
        let mut slice = 0;
        for unit in units {
            let kind = self.codec.kind(&unit);
            let gathers = match self.how.aggregate {
                Aggregate::None => false,
                Aggregate::Sets => !matches!(kind, UnitKind::Slice | UnitKind::Idr),
                Aggregate::All => true,
            };
            let gathered: usize = together.iter().map(|u| u.len() + 2).sum();
            let joins = gathers && gathered + unit.len() + 8 <= self.how.size;
            if !together.is_empty() && !joins {
                payloads.push(self.aggregated(&together, slice));
                together.clear();
            }
            if gathers && unit.len() + 8 <= self.how.size {
                together.push(unit);
                continue;
            }
            let marked = match self.how.marker {
                Marker::EachUnit => true,
                Marker::Sets => kind == UnitKind::Set,
                Marker::Delimiters => kind == UnitKind::Delimiter,
                _ => false,
            };
            let mut fragments = self.fragments(&unit);
            let last = fragments.pop();
            let payload = |bytes, marker| Payload {
                marker,
                slice,
                bytes,
            };
            payloads.extend(fragments.into_iter().map(|bytes| payload(bytes, false)));
            payloads.extend(last.map(|bytes| payload(bytes, marked)));
            slice += u32::from(matches!(kind, UnitKind::Slice | UnitKind::Idr));
        }
        if !together.is_empty() {
            payloads.push(self.aggregated(&together, slice));
        }
        self.mark(&mut payloads);
        payloads
    }

    fn mark(&self, payloads: &mut [Payload]) {
        match self.how.marker {
            Marker::PictureEnd | Marker::Sets => {
                if let Some(last) = payloads.last_mut() {
                    last.marker = true;
                }
            }
            Marker::First => {
                if let Some(first) = payloads.first_mut() {
                    first.marker = true;
                }
            }
            Marker::Every => payloads.iter_mut().for_each(|p| p.marker = true),
            Marker::Never | Marker::EachUnit | Marker::Delimiters => {}
        }
    }

    /// The units of a picture as this camera arranges them.
    fn arranged(&self, unit: &[Bytes]) -> Vec<Bytes> {
        let how = self.how;
        let mut units: Vec<Bytes> = Vec::new();
        if how.delimiters {
            units.push(match self.codec {
                Codec::H264 => Bytes::from_static(&[0x09, 0xF0]),
                Codec::H265 => Bytes::from_static(&[0x46, 0x01, 0x50]),
            });
        }
        for kind in &how.vendor_units {
            let first = match self.codec {
                Codec::H264 => vec![*kind],
                Codec::H265 => vec![kind << 1, 1],
            };
            units.push([first.as_slice(), b"vendor data"].concat().into());
        }
        if how.sets == InBand::EachPicture {
            units.extend_from_slice(self.sets);
        }
        let slices = |u: &&Bytes| matches!(self.codec.kind(u), UnitKind::Slice | UnitKind::Idr);
        let last_slice = unit.iter().filter(slices).count();
        let mut seen = 0;
        for nal in unit {
            let kind = self.codec.kind(nal);
            let slice = matches!(kind, UnitKind::Slice | UnitKind::Idr);
            if kind == UnitKind::Set && how.sets != InBand::AsEncoded {
                continue;
            }
            if slice {
                let place = how.sei;
                if seen == 0 && place == Some(SeiPlace::Before)
                    || seen > 0 && place == Some(SeiPlace::Between)
                {
                    units.push(self.sei());
                }
                if how.sets == InBand::EachSlice {
                    units.extend_from_slice(self.sets);
                }
                seen += 1;
            }
            units.push(self.with_trailing(nal));
            if slice && seen == last_slice && how.sei == Some(SeiPlace::After) {
                units.push(self.sei());
            }
        }
        units
    }

    fn with_trailing(&self, nal: &Bytes) -> Bytes {
        let sequence_set = match self.codec {
            Codec::H264 => 7,
            Codec::H265 => 33,
        };
        let trailing = if self.codec.unit_type(nal) == sequence_set {
            self.how.trailing.as_slice()
        } else {
            &[]
        };
        if trailing.is_empty() && self.how.zeros == 0 {
            return nal.clone();
        }
        let zeros = vec![0; self.how.zeros];
        [nal.as_ref(), trailing, &zeros].concat().into()
    }

    /// User data that says nothing (H.264 D.1.7, H.265 D.2.7).
    fn sei(&self) -> Bytes {
        let mut unit = match self.codec {
            Codec::H264 => vec![0x06],
            Codec::H265 => vec![0x4E, 0x01],
        };
        unit.extend([5, 20]);
        unit.extend(1..=16_u8);
        unit.extend(*b"note");
        unit.push(0x80);
        unit.into()
    }

    fn with_start_codes(&self, units: Vec<Bytes>) -> Vec<Bytes> {
        let join = |units: &[Bytes]| Bytes::from(units.join(&[0, 0, 0, 1][..]));
        match self.how.start_codes {
            StartCodes::None => units,
            StartCodes::Three => prefixed(&units, &[0, 0, 1]),
            StartCodes::Four => prefixed(&units, &[0, 0, 0, 1]),
            StartCodes::WholePicture => vec![join(&units)],
            StartCodes::Joined => {
                let taken = |u: &Bytes| matches!(self.codec.kind(u), UnitKind::Set | UnitKind::Idr);
                let (joined, rest): (Vec<Bytes>, Vec<Bytes>) = units.into_iter().partition(taken);
                match joined.is_empty() {
                    true => rest,
                    false => {
                        // What the encoder says of itself is left out, as such cameras do.
                        let rest = rest
                            .into_iter()
                            .filter(|u| self.codec.kind(u) != UnitKind::Sei);
                        std::iter::once(join(&joined)).chain(rest).collect()
                    }
                }
            }
        }
    }

    /// STAP-A or STAP-B (RFC 6184 5.7.1), AP (RFC 7798 4.4.2).
    fn aggregated(&self, units: &[Bytes], slice: u32) -> Payload {
        let mut bytes = BytesMut::new();
        match (self.codec, units) {
            // One unit alone needs no aggregate.
            (_, [single]) if !self.how.decoding_order => bytes.put_slice(single),
            (codec, units) => {
                match codec {
                    Codec::H264 => {
                        let reference = units
                            .iter()
                            .filter_map(|u| u.first())
                            .map(|first| first & 0x60)
                            .max();
                        let kind = if self.how.decoding_order { 25 } else { 24 };
                        bytes.put_u8(reference.unwrap_or(0) | kind);
                        if self.how.decoding_order {
                            bytes.put_u16(0);
                        }
                    }
                    Codec::H265 => bytes.put_slice(&[48 << 1, 1]),
                }
                for unit in units {
                    bytes.put_u16(u16::try_from(unit.len()).unwrap_or(u16::MAX));
                    bytes.put_slice(unit);
                }
            }
        }
        Payload {
            marker: matches!(self.how.marker, Marker::EachUnit),
            slice,
            bytes: bytes.freeze(),
        }
    }

    /// One payload, or FU-A, FU-B (RFC 6184 5.8), FU (RFC 7798 4.4.3).
    fn fragments(&self, unit: &Bytes) -> Vec<Bytes> {
        let how = self.how;
        let header = match self.codec {
            Codec::H264 => 1,
            Codec::H265 => 2,
        };
        if unit.len() <= how.size && !how.always_fragments || unit.len() <= header {
            return vec![unit.clone()];
        }
        let kind = self.codec.unit_type(unit);
        let body = unit.slice(header..);
        // Room for the fragment's own header: what does not fit into one packet makes two.
        let size = how.size.saturating_sub(header + 2).max(1);
        let count = body.len().div_ceil(size);
        let mut fragments = Vec::new();
        for (index, part) in body.chunks(size).enumerate() {
            let (first, last) = (index == 0, index + 1 == count);
            let kind = how.later_type.filter(|_| !first).unwrap_or(kind);
            let flags = u8::from(first) << 7 | u8::from(last && how.end_bit) << 6 | kind;
            let mut bytes = self.fragment_header(unit, first, flags);
            let empty = bytes.clone();
            bytes.put_slice(part);
            fragments.push(bytes.freeze());
            if how.empty_fragments && !last {
                let mut empty = empty;
                let end = empty.len() - 1;
                empty[end] = flags & 0x3F;
                fragments.push(empty.freeze());
            }
        }
        fragments
    }

    fn fragment_header(&self, unit: &[u8], first: bool, flags: u8) -> BytesMut {
        let mut bytes = BytesMut::new();
        match self.codec {
            Codec::H264 => {
                let with_order = self.how.decoding_order && first;
                bytes.put_u8(unit[0] & 0xE0 | if with_order { 29 } else { 28 });
                bytes.put_u8(flags);
                if with_order {
                    bytes.put_u16(0);
                }
            }
            Codec::H265 => {
                bytes.put_u8(unit[0] & 0x81 | 49 << 1);
                bytes.put_u8(unit[1]);
                bytes.put_u8(flags);
            }
        }
        bytes
    }
}

fn prefixed(units: &[Bytes], code: &[u8]) -> Vec<Bytes> {
    units
        .iter()
        .map(|unit| [code, unit.as_ref()].concat().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<Bytes> {
        [&[0x67, 1, 2][..], &[0x68, 3], &[0x65; 50], &[0x65; 8]]
            .map(Bytes::copy_from_slice)
            .to_vec()
    }

    fn cut(how: &Packets) -> Vec<(bool, Vec<u8>)> {
        let sets = picture()[..2].to_vec();
        let packetizer = Packetizer {
            how,
            codec: Codec::H264,
            sets: &sets,
        };
        let payloads = packetizer.payloads(&picture());
        payloads
            .into_iter()
            .map(|p| (p.marker, p.bytes.to_vec()))
            .collect()
    }

    #[test]
    fn a_good_camera_cuts_by_the_book() {
        let how = Packets {
            size: 20,
            ..Packets::default()
        };
        let cut = cut(&how);
        let starts: Vec<_> = cut.iter().map(|(m, b)| (*m, b[0], b[1])).collect();
        let expected = [
            (false, 0x67, 1),
            (false, 0x68, 3),
            (false, 0x7C, 0x85),
            (false, 0x7C, 0x05),
            (false, 0x7C, 0x45),
            (true, 0x65, 0x65),
        ];
        assert_eq!(starts, expected);
        let body: usize = cut[2..5].iter().map(|(_, b)| b.len() - 2).sum();
        assert_eq!(body, 49);
    }

    #[test]
    fn faults_are_what_they_say() {
        let with = |change: fn(&mut Packets)| {
            let mut how = Packets {
                size: 20,
                ..Packets::default()
            };
            change(&mut how);
            cut(&how)
        };
        assert!(
            with(|p| p.end_bit = false)
                .iter()
                .all(|(_, b)| b[0] != 0x7C || b[1] & 0x40 == 0)
        );
        assert_eq!(with(|p| p.empty_fragments = true)[3].1, [0x7C, 0x05]);
        assert!(with(|p| p.marker = Marker::Never).iter().all(|(m, _)| !m));
        assert_eq!(
            with(|p| p.marker = Marker::Sets)
                .iter()
                .filter(|(m, _)| *m)
                .count(),
            3
        );
        let joined = with(|p| p.start_codes = StartCodes::Joined);
        assert_eq!(
            (joined[0].1[0], joined[0].1[1]),
            (0x7C, 0x87),
            "its type is that of a set"
        );
        let aggregated = with(|p| p.aggregate = Aggregate::Sets);
        assert_eq!(aggregated[0].1, [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3]);
        assert_eq!(with(|p| p.sets = InBand::EachSlice).len(), 8);
        assert_eq!(with(|p| p.trailing = vec![4])[0].1, [0x67, 1, 2, 4]);
        assert_eq!(
            with(|p| p.decoding_order = true)[2].1[..4],
            [0x7D, 0x85, 0, 0]
        );
    }
}
