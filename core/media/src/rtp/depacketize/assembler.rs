//! From NAL units to pictures, by the codec's own rules (H.264 section 7.4.1.2.3, H.265 section
//! 7.4.2.4.4): a picture begins with its first slice, and what stands between two pictures belongs
//! to the second. Marker and timestamp of RTP are hints, see [`super::marker`].

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::codec::{Codec, Role, Slice};
use super::error::DepacketizeError;
use super::frame::{Frame, MAX_FRAME_BYTES};
use super::marker::Trust;
use super::picture::{Left, Picture, Place};
use super::sets::Sets;
use super::start_codes::StartCodes;
use super::starts::Starts;
use crate::codec::VideoParams;
use crate::rtp::packet::Packet;
use crate::{Quirk, Quirks};

/// Bytes of a length before a unit.
const LENGTH: usize = 4;
/// A slice's beginning is looked at once so much of it is there; what is read of it is shorter.
const SLICE_BEGINNING: usize = 48;
/// What stands between two pictures is a few messages. More is something else, and is let go.
const MAX_BETWEEN: usize = 256 << 10;
/// So many unknown units in a row without a slice or a set, and each is an error: the stream is not
/// what it was announced as.
const MAX_UNKNOWN: u32 = 8;

/// A unit that is being written.
#[derive(Debug)]
struct Open {
    /// Where its length stands.
    at: usize,
    /// It is a slice and its place was found.
    placed: bool,
    /// The marker came, but nothing that says that it is whole.
    marked: bool,
    timestamp: u32,
}

#[derive(Debug)]
pub(super) struct Assembler<C: Codec> {
    /// The units of `picture`, those between it and the next one, the open one.
    data: BytesMut,
    /// Where the units of `picture` end.
    settled: usize,
    open: Option<Open>,
    picture: Option<Picture>,
    /// The picture that left last.
    left: Option<Left>,
    /// From a recovery point that waits for its picture.
    recovery: Option<u32>,
    sets: Sets<C::Sps>,
    /// Sets for the next picture.
    incoming: Sets<C::Sps>,
    /// The sequence parameter set in use.
    in_use: Option<u32>,
    params: Option<Arc<VideoParams>>,
    trust: Trust,
    starts: Starts,
    /// The packet's.
    timestamp: u32,
    /// Units of this packet: slices, others.
    seen: (bool, bool),
    /// Packets lost that no picture answers for yet.
    lost: u32,
    /// Packets were lost since the last slice.
    gap: bool,
    /// The picture is too large; what still comes of it is left out.
    full: bool,
    unknown_in_row: u32,
    start_codes: StartCodes,
    pub(super) quirks: Quirks,
}

impl<C: Codec> Assembler<C> {
    pub(super) fn new(described: &[Bytes]) -> Self {
        let (mut sets, mut quirks) = (Sets::default(), Quirks::default());
        for unit in described {
            if let Ok(Role::Set(kind)) = C::role(unit) {
                sets.receive::<C>(kind, unit, &Sets::default(), &mut quirks);
            } else {
                quirks.note(Quirk::UnreadableSets);
            }
        }
        let params = sets.params::<C>(None).ok().map(Arc::new);
        Self {
            data: BytesMut::new(),
            settled: 0,
            open: None,
            picture: None,
            left: None,
            recovery: None,
            sets,
            incoming: Sets::default(),
            in_use: None,
            params,
            trust: Trust::NEW,
            starts: Starts::default(),
            timestamp: 0,
            seen: (false, false),
            lost: 0,
            gap: false,
            full: false,
            unknown_in_row: 0,
            start_codes: StartCodes::default(),
            quirks,
        }
    }

    pub(super) fn trust_markers(&mut self) {
        self.trust = Trust::Given;
    }

    /// Called first for each packet. Says whether a unit that was under way is lost, or may be.
    pub(super) fn begin_packet(&mut self, packet: &Packet<'_>) -> bool {
        self.timestamp = packet.timestamp;
        self.seen = (false, false);
        if packet.lost == 0 {
            return false;
        }
        self.lost = self.lost.saturating_add(packet.lost);
        self.gap = true;
        let trusted = !self.trust.is_lost();
        if let Some(picture) = &mut self.picture
            && (!picture.marked || !trusted)
        {
            // Its end may be among what was lost.
            picture.damaged = true;
        }
        self.drop_open();
        true
    }

    /// The packet could not be read.
    pub(super) fn damage(&mut self) {
        match &mut self.picture {
            Some(picture) if picture.timestamp == self.timestamp || !picture.marked => {
                picture.damaged = true;
            }
            _ => self.lost = self.lost.max(1),
        }
    }

    /// The packet has a unit of an unknown type.
    pub(super) fn unknown(&mut self, kind: u8) -> Result<(), DepacketizeError> {
        self.quirks.note(Quirk::UnknownUnits);
        self.unknown_in_row = self.unknown_in_row.saturating_add(1);
        if self.unknown_in_row > MAX_UNKNOWN {
            return Err(DepacketizeError::Type(kind));
        }
        Ok(())
    }

    /// Begins a unit.
    pub(super) fn open(&mut self) {
        self.open = Some(Open {
            at: self.data.len(),
            placed: false,
            marked: false,
            timestamp: self.timestamp,
        });
        self.data.put_u32(0);
    }

    /// Whether a fragment that is no beginning goes on with an open unit. Nothing was lost in between,
    /// or there would be none: so it does whatever timestamp, marker and type say.
    pub(super) fn goes_on(&mut self, header: &[u8]) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        if std::mem::take(&mut open.marked) {
            self.quirks.note(Quirk::EarlyMarker);
            self.trust.betray();
        }
        let begun = self.data.get(open.at + LENGTH..).unwrap_or_default();
        if C::type_of(begun).is_some_and(|kind| Some(kind) != C::type_of(header)) {
            self.quirks.note(Quirk::OddFragments);
        }
        true
    }

    /// Whether the picture grew too large.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Something else comes: if a unit is still open, its last fragment did not say so.
    pub(super) fn end_fragment(&mut self, out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let marked = open.marked;
        self.quirks.note(Quirk::OddFragments);
        let closed = self.close(out);
        if let Some(picture) = self.picture.as_mut().filter(|_| marked) {
            picture.marked = true;
        }
        closed
    }

    /// Adds to the open unit. No unit has a start code inside, so what comes after one is another
    /// unit, wherever the sender put it.
    pub(super) fn append(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<Frame>,
    ) -> Result<(), DepacketizeError> {
        let mut result = Ok(());
        while let Some(open) = &self.open
            && self.start_codes.are_looked_for(open.placed)
            && let Some((before, after)) = self
                .start_codes
                .find::<C>(&self.data[open.at + LENGTH..], bytes)
        {
            let added = self.write(&bytes[..before], out);
            self.quirks.note(Quirk::StartCodes);
            self.start_codes.found();
            let closed = self.close(out);
            result = result.and(added).and(closed);
            self.open();
            bytes = &bytes[after..];
        }
        result.and(self.write(bytes, out))
    }

    fn write(&mut self, bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        if self.open.is_none() {
            return Ok(());
        }
        // Behind a marker the next picture begins, mostly: the one before is not counted against it.
        let marked = self.picture.as_ref().is_some_and(|p| p.marked);
        let before = if marked { self.settled } else { 0 };
        if self.data.len() - before + bytes.len() > MAX_FRAME_BYTES {
            self.give_up();
            return Err(DepacketizeError::TooLarge);
        }
        self.make_room(bytes.len());
        self.data.put_slice(bytes);
        let Some(open) = &self.open else {
            return Ok(());
        };
        let unit = &self.data[open.at + LENGTH..];
        if !open.placed && unit.len() >= SLICE_BEGINNING && C::role(unit) == Ok(Role::Slice) {
            return self.place(out);
        }
        Ok(())
    }

    /// The units of the picture that leaves. Small ones share what was allocated for them; a large one
    /// would keep all the room that the buffer had grown to, for as long as somebody keeps it.
    fn take(&mut self, len: usize) -> Bytes {
        const LARGE: usize = 32 << 10;
        if len < LARGE {
            return self.data.split_to(len).freeze();
        }
        let exact = Bytes::copy_from_slice(&self.data[..len]);
        self.data.advance(len);
        exact
    }

    /// Large pictures do not take twice their size, as doubling would give them.
    fn make_room(&mut self, bytes: usize) {
        const LARGE: usize = 2 << 20;
        let len = self.data.len();
        if len >= LARGE && self.data.capacity() - len < bytes {
            let mut larger = BytesMut::with_capacity(len + bytes.max(LARGE));
            larger.extend_from_slice(&self.data);
            self.data = larger;
        }
    }

    /// What is under way is larger than any picture: nothing of it is kept, and none of it is passed
    /// on.
    fn give_up(&mut self) {
        self.full = true;
        self.damage();
        self.open = None;
        self.settled = 0;
        self.data = BytesMut::new();
    }

    fn drop_open(&mut self) {
        if let Some(open) = self.open.take() {
            self.data.truncate(open.at);
            if open.placed
                && let Some(picture) = &mut self.picture
            {
                picture.damaged = true;
            }
        }
    }

    /// Ends the open unit.
    pub(super) fn close(&mut self, out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let (at, placed) = (open.at, open.placed);
        // No unit ends with a zero: they are padding, or belong to a start code.
        let written = &self.data[at + LENGTH..];
        let zeros = written.iter().rev().take_while(|b| **b == 0).count();
        self.data.truncate(self.data.len() - zeros);
        let unit = &self.data[at + LENGTH..];
        if unit.is_empty() {
            self.open = None;
            self.data.truncate(at);
            return Ok(());
        }
        let role = C::role(unit);
        if role == Ok(Role::Slice) && !placed {
            self.place(out)?;
        }
        let at = self.open.take().map_or(at, |open| open.at);
        match role {
            Ok(Role::Slice) => {
                self.finish_unit(at);
                self.settled = self.data.len();
                self.seen.0 = true;
                self.unknown_in_row = 0;
                self.start_codes.slice();
                if let Some(picture) = &mut self.picture {
                    picture.slices += 1;
                }
                return Ok(());
            }
            Ok(Role::Suffix) if self.picture.as_ref().is_some_and(|p| p.slices > 0) => {
                self.finish_unit(at);
                self.settled = self.data.len();
                self.seen.0 = true;
                return Ok(());
            }
            Ok(Role::Info) => {
                self.recovery = C::recovery_point(&self.data[at + LENGTH..]).or(self.recovery);
                self.finish_unit(at);
                self.seen.1 = true;
                if self.data.len() - self.settled > MAX_BETWEEN {
                    self.data.truncate(self.settled);
                }
                return Ok(());
            }
            Ok(Role::Set(kind)) => {
                let unit = &self.data[at + LENGTH..];
                self.incoming
                    .receive::<C>(kind, unit, &self.sets, &mut self.quirks);
                self.seen.1 = true;
                self.unknown_in_row = 0;
            }
            _ => {}
        }
        let kind = C::type_of(&self.data[at + LENGTH..]).unwrap_or_default();
        self.data.truncate(at);
        match role? {
            Role::Delimiter => {
                self.seen.1 = true;
                self.finish(false, out);
                Ok(())
            }
            Role::Unknown => self.unknown(kind),
            _ => Ok(()),
        }
    }

    fn finish_unit(&mut self, at: usize) {
        let len = u32::try_from(self.data.len() - at - LENGTH).unwrap_or(u32::MAX);
        self.data[at..at + LENGTH].copy_from_slice(&len.to_be_bytes());
    }

    /// Finds out which picture the open unit, a slice, belongs to.
    fn place(&mut self, out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.placed = true;
        let timestamp = open.timestamp;
        let unit = &self.data[open.at + LENGTH..];
        let Some(slice) = C::slice(unit, &self.sets) else {
            let len = unit.len();
            self.drop_open();
            self.damage();
            return Err(DepacketizeError::Truncated(len));
        };
        let quiet = self.incoming.is_empty();
        let place = match (&self.picture, &self.left) {
            (Some(picture), _) => picture.place(&slice, timestamp, self.gap, quiet),
            (None, Some(left)) => left.place(&slice, timestamp, self.gap),
            (None, None) => Place::Next,
        };
        let mut between = false;
        match (place, &mut self.picture) {
            (Place::Same, Some(picture)) => {
                if picture.timestamp != timestamp {
                    self.quirks.note(Quirk::OddTimestamps);
                }
                if std::mem::take(&mut picture.marked) {
                    self.quirks.note(Quirk::EarlyMarker);
                    self.trust.betray();
                }
                picture.add(&slice);
                between = !slice.first;
                picture.lost = picture.lost.saturating_add(std::mem::take(&mut self.lost));
            }
            _ => {
                self.finish(false, out);
                self.begin_picture(slice, timestamp, place == Place::Same);
            }
        }
        if between {
            self.drop_between();
        }
        self.gap = false;
        Ok(())
    }

    /// What stands between the slices of one picture has no place there: whoever reads on would take
    /// it for the beginning of the next one.
    fn drop_between(&mut self) {
        if let Some(open) = &mut self.open
            && open.at > self.settled
        {
            let slice = self.data.split_off(open.at);
            self.data.truncate(self.settled);
            self.data.unsplit(slice);
            open.at = self.settled;
        }
    }

    /// The open unit is the first slice of a picture, or the first that arrived. `torn`: the picture
    /// began in one that has left already.
    fn begin_picture(&mut self, mut slice: Slice, timestamp: u32, torn: bool) {
        let changed = self.sets.apply(&mut self.incoming);
        if changed
            && let Some(open) = &self.open
            && let Some(again) = C::slice(&self.data[open.at + LENGTH..], &self.sets)
        {
            slice = again;
        }
        let known = self.sets.sps_of(slice.pps).map(|(id, _)| id);
        let other = known.is_some() && known != self.in_use;
        self.in_use = known.or(self.in_use);
        let mut new_params = false;
        if (changed || other || self.params.is_none())
            && let Ok(params) = self.sets.params::<C>(self.in_use)
            && self.params.as_deref() != Some(&params)
        {
            self.params = Some(Arc::new(params));
            new_params = true;
        }
        if torn && let Some(left) = &self.left {
            if left.by_marker {
                self.quirks.note(Quirk::EarlyMarker);
                self.trust.betray();
            }
        } else if slice.first
            && !self.gap
            && self
                .left
                .as_ref()
                .is_some_and(|left| left.timestamp == timestamp)
        {
            self.quirks.note(Quirk::OddTimestamps);
        }
        // A second field that was torn off is whole in itself.
        let damaged = !slice.first;
        self.picture = Some(Picture::new(
            slice,
            timestamp,
            damaged,
            self.recovery.take(),
            std::mem::take(&mut self.lost),
            known.is_some(),
            new_params,
        ));
        self.full = false;
    }

    /// The packet has the marker.
    pub(super) fn marker(&mut self, out: &mut Vec<Frame>) -> Result<(), DepacketizeError> {
        let mut ended = Ok(());
        if let Some(open) = &mut self.open {
            if !self.trust.is_given() {
                open.marked = true;
                return Ok(());
            }
            ended = self.end_fragment(out);
        }
        let (slices, others) = self.seen;
        let Some(picture) = &mut self.picture else {
            if others {
                self.quirks.note(Quirk::EarlyMarker);
            }
            return ended;
        };
        let same = picture.timestamp == self.timestamp;
        if slices || (same && !others) {
            picture.marked = true;
            if same {
                picture.lost = picture.lost.saturating_add(std::mem::take(&mut self.lost));
            }
            if self.trust.is_given() {
                self.finish(true, out);
            }
        } else if others {
            self.quirks.note(Quirk::EarlyMarker);
        }
        ended
    }

    /// Nothing comes for a while: what is whole as far as can be seen leaves.
    pub(super) fn flush(&mut self, out: &mut Vec<Frame>) {
        if self.open.as_ref().is_some_and(|open| open.marked) {
            // An error costs this unit, and nobody waits for it any more.
            self.end_fragment(out).ok();
        }
        if self.open.is_none() && self.picture.as_ref().is_some_and(|p| p.slices > 0) {
            let marked = self.picture.as_ref().is_some_and(|p| p.marked);
            self.leave(marked, out);
        }
    }

    /// The picture is over, as its marker or the beginning of the next one says.
    fn finish(&mut self, by_marker: bool, out: &mut Vec<Frame>) {
        let Some(picture) = &self.picture else {
            return;
        };
        if picture.marked && !by_marker {
            let is_key = picture.signs.by_type.is_some() || picture.signs.recovery.is_some();
            self.trust.confirm(is_key, picture.slices > 1);
        } else if !picture.marked && !picture.damaged && !self.trust.is_lost() {
            self.quirks.note(Quirk::NoMarker);
        }
        self.leave(by_marker, out);
    }

    fn leave(&mut self, by_marker: bool, out: &mut Vec<Frame>) {
        let Some(picture) = self.picture.take() else {
            return;
        };
        let settled = std::mem::take(&mut self.settled);
        if let Some(open) = &mut self.open {
            open.at -= settled;
        }
        self.left = Some(picture.left(by_marker));
        if picture.slices == 0 || self.full {
            self.data.advance(settled);
            self.lost = self.lost.saturating_add(picture.lost).max(1);
            return;
        }
        let data = self.take(settled);
        let mut start = None;
        if !picture.damaged {
            start = self.starts.judge(picture.signs, &mut self.quirks);
        }
        out.push(Frame {
            timestamp: picture.timestamp,
            start: start.filter(|_| picture.decodable && self.params.is_some()),
            params: self.params.clone(),
            new_params: picture.new_params,
            data,
            lost_packets: picture.lost,
            damaged: picture.damaged,
        });
    }
}
