//! Bytes of a connection become messages and interleaved frames, in one pass.
//!
//! A byte that was looked at and did not complete anything is not looked at again: the reader
//! remembers how far it got in the line or body at hand. Whatever the other side sends, memory is
//! bounded by [`Limits`], and what makes no sense is skipped up to the next thing that does.
//! Owner: a connection. Cost: media payloads are slices of the buffer that the socket was read
//! into; a payload that is kept keeps the buffer it came in.

mod limits;
mod line;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use taimat_media::{Quirk, Quirks};

use crate::message::{Headers, Request, Response};
pub use limits::{Limits, ReadError};
use line::{Begins, First, Length, Start};

/// Interleaved bytes that are put up with while no channel has been agreed upon.
const UNASKED_BYTES: usize = 1 << 20;
/// What betrays the next answer inside a body whose length is wrong.
const NEXT_ANSWER: &[u8] = b"\nRTSP/1.0 ";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The other side wants something.
    Request(Request),
    /// The other side answers.
    Response(Response),
    /// A packet between messages (RFC 2326 section 10.12).
    Data {
        /// As SETUP agreed upon, mostly.
        channel: u8,
        /// RTP or RTCP.
        payload: Bytes,
    },
}

/// Reads one direction of a connection.
pub struct Reader {
    limits: Limits,
    /// Begins with the line, frame or body at hand.
    buffer: BytesMut,
    /// How much of the line or body at hand has been looked at.
    scanned: usize,
    state: ReadPhase,
    channels: Option<Channels>,
    /// Nothing was skipped since the last thing that made sense.
    in_step: bool,
    /// The last thing was a message with a description.
    described: bool,
    /// HTTP's answer is expected next: the beginning of a tunnel.
    tunnel: bool,
    strayed: usize,
    unasked: usize,
    skipped: u64,
    quirks: Quirks,
    failed: Option<ReadError>,
}

enum ReadPhase {
    /// A message or a frame may begin.
    Between,
    /// In what looks like the first line of a message.
    First,
    /// In the header lines.
    Head(Box<Head>),
    /// In content of so many bytes.
    Body(Box<Head>, usize),
}

struct Head {
    start: Start,
    headers: Headers,
    lines: usize,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Channels([u64; 4]);

impl Channels {
    fn contains(&self, channel: u8) -> bool {
        self.0[usize::from(channel >> 6)] >> (channel & 63) & 1 == 1
    }
}

enum Step {
    /// More bytes are needed.
    Wait,
    /// Something was done; look again.
    Again,
    Item(Item),
}

impl fmt::Debug for Reader {
    /// Without the bytes: a camera's words, and maybe our own secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("buffered", &self.buffer.len())
            .field("in_step", &self.in_step)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Nothing has been read yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: BytesMut::new(),
            scanned: 0,
            state: ReadPhase::Between,
            channels: None,
            in_step: true,
            described: false,
            tunnel: false,
            strayed: 0,
            unasked: 0,
            skipped: 0,
            quirks: Quirks::default(),
            failed: None,
        }
    }

    /// Whether something has begun that has not come to its end: more of it is awaited. Of use when
    /// [`Self::next`] had nothing.
    pub fn is_within(&self) -> bool {
        !self.buffer.is_empty() || !matches!(self.state, ReadPhase::Between)
    }

    /// Where the owner appends what the socket gives. There is room; how much is how much is to be
    /// read at once. [`Self::next`] is asked until it has nothing before more is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let read = self.limits.read_bytes;
        let len = self.buffer.len();
        if self.buffer.capacity() > read * 4 && len < read {
            // One long body does not make the buffer large for the connection's whole life.
            let mut smaller = BytesMut::with_capacity(read * 2);
            smaller.extend_from_slice(&self.buffer);
            self.buffer = smaller;
        } else if self.buffer.capacity() - len < read / 4 {
            self.buffer.reserve(read);
        }
        &mut self.buffer
    }

    /// The interleaved channels that SETUP agreed upon. Before that, frames of any channel are
    /// passed on, but only so many.
    pub fn expect_channels(&mut self, channels: impl IntoIterator<Item = u8>) {
        let mut set = [0; 4];
        for channel in channels {
            set[usize::from(channel >> 6)] |= 1_u64 << (channel & 63);
        }
        self.channels = Some(Channels(set));
        self.unasked = 0;
    }

    /// The next message is HTTP's answer to the request that opens a tunnel. It comes as a
    /// [`Response`] without content; RTSP follows at once.
    pub fn expect_tunnel(&mut self) {
        self.tunnel = true;
    }

    /// Bytes skipped since the last time this was asked.
    pub fn skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// What was put up with since the last time this was asked.
    pub fn quirks(&mut self) -> Quirks {
        self.quirks.take()
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        !matches!(self.state, ReadPhase::Between) || !self.buffer.is_empty()
    }

    /// The message whose content is shorter than announced, with what came of it: for when nothing
    /// has come for a while.
    pub fn give_up_body(&mut self) -> Option<Item> {
        match std::mem::replace(&mut self.state, ReadPhase::Between) {
            ReadPhase::Body(head, _) => {
                self.quirks.note(Quirk::WrongLength);
                let body = self.buffer.split().freeze();
                Some(self.finish(*head, body))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The next message or frame, if it is whole. After an error nothing else comes.
    #[allow(
        clippy::should_implement_trait,
        reason = "it fails, and goes on after it had nothing"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, ReadError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let read = self.read();
        if let Err(error) = read {
            self.failed = Some(error);
            self.buffer = BytesMut::new();
        }
        read
    }

    fn read(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            let step = match std::mem::replace(&mut self.state, ReadPhase::Between) {
                ReadPhase::Between => self.between()?,
                ReadPhase::First => self.first_line()?,
                ReadPhase::Head(head) => self.header_line(head)?,
                ReadPhase::Body(head, length) => self.body(head, length),
            };
            match step {
                Step::Wait => return Ok(None),
                Step::Again => {}
                Step::Item(item) => return Ok(Some(item)),
            }
        }
    }

    fn between(&mut self) -> Result<Step, ReadError> {
        self.scanned = 0;
        match self.buffer.first() {
            None => Ok(Step::Wait),
            Some(b'\r' | b'\n') if self.in_step => {
                let blank = |b: &&u8| matches!(b, b'\r' | b'\n');
                let count = self.buffer.iter().take_while(blank).count();
                self.buffer.advance(count);
                Ok(Step::Again)
            }
            Some(b'$') => self.frame(),
            Some(_) => match line::begins(&self.buffer, self.in_step) {
                Begins::Yes => {
                    self.state = ReadPhase::First;
                    Ok(Step::Again)
                }
                Begins::Maybe => Ok(Step::Wait),
                Begins::No => self.stray(),
            },
        }
    }

    /// In step, `$` begins a frame. After stray bytes, or on a channel that nobody agreed upon, it
    /// has to look like one: also by the byte behind it, which is waited for.
    fn frame(&mut self) -> Result<Step, ReadError> {
        let Some(&[_, channel, high, low]) = self.buffer.first_chunk() else {
            return Ok(Step::Wait);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let known = self.channels.map(|channels| channels.contains(channel));
        if !self.in_step || known == Some(false) {
            if length < 8 || (!self.in_step && known == Some(false)) {
                return self.stray();
            }
            let Some(&[first, second]) = self.buffer.get(4..6) else {
                return Ok(Step::Wait);
            };
            if first >> 6 != 2 || (length < 12 && !(192..=223).contains(&second)) {
                return self.stray();
            }
        }
        let whole = 4 + length;
        if self.buffer.len() < whole {
            return Ok(Step::Wait);
        }
        if !self.in_step {
            match self.buffer.get(whole) {
                None => return Ok(Step::Wait),
                Some(b'$' | b'R' | b'r' | b'\r' | b'\n') => {}
                Some(_) => return self.stray(),
            }
        }
        if known.is_none() {
            self.unasked += whole;
            if self.unasked > UNASKED_BYTES {
                return Err(ReadError::Nonsense);
            }
        }
        self.buffer.advance(4);
        let payload = self.buffer.split_to(length).freeze();
        self.made_sense(whole);
        Ok(Step::Item(Item::Data { channel, payload }))
    }

    /// Skips to where something may begin.
    fn stray(&mut self) -> Result<Step, ReadError> {
        let rest = self.buffer.iter().skip(1);
        let next = rest.copied().take_while(|b| !line::may_begin(*b)).count();
        self.skip(1 + next)
    }

    fn skip(&mut self, count: usize) -> Result<Step, ReadError> {
        if self.in_step {
            self.in_step = false;
            self.quirks.note(if self.described {
                Quirk::WrongLength
            } else {
                Quirk::StrayBytes
            });
        }
        self.buffer.advance(count);
        self.skipped += count as u64;
        self.strayed += count;
        if self.strayed > self.limits.stray_bytes {
            return Err(ReadError::Nonsense);
        }
        Ok(Step::Again)
    }

    fn made_sense(&mut self, bytes: usize) {
        self.in_step = true;
        self.described = false;
        self.scanned = 0;
        self.strayed = self.strayed.saturating_sub(bytes);
    }

    fn first_line(&mut self) -> Result<Step, ReadError> {
        let most = self.limits.line_bytes;
        let window = self.buffer.len().min(most + 1);
        let unseen = &self.buffer[self.scanned.min(window)..window];
        // What a status says may have anything in it; it is made fit to be shown where it is shown.
        let answer = self.in_step && line::is_answer(&self.buffer);
        let ends = |b: &u8| *b == b'\n' || !answer && line::ends_first_line(*b);
        let Some(at) = unseen.iter().position(ends) else {
            if window > most {
                if self.in_step {
                    return Err(ReadError::LineTooLong(most));
                }
                return self.skip(window);
            }
            self.scanned = window;
            self.state = ReadPhase::First;
            return Ok(Step::Wait);
        };
        let end = self.scanned + at;
        if self.buffer[end] != b'\n' {
            // No text. Most likely the channel's number of a frame.
            let frame = end > 0 && self.buffer[end - 1] == b'$';
            return self.skip(if frame { end - 1 } else { end + 1 });
        }
        let text = line::text(&self.buffer[..end]);
        let start = match line::first(&text) {
            Some(First::Message(start)) => start,
            Some(First::HttpAnswer(status, reason)) if self.tunnel => {
                Start::Tunnel { status, reason }
            }
            Some(First::HttpAnswer(status, _)) if self.in_step => {
                return Err(ReadError::Http { status });
            }
            Some(First::HttpRequest) if self.in_step => return Err(ReadError::HttpRequest),
            _ => return self.skip(end + 1),
        };
        if end == 0 || self.buffer[end - 1] != b'\r' {
            self.quirks.note(Quirk::OddHeaders);
        }
        self.buffer.advance(end + 1);
        self.scanned = 0;
        self.state = ReadPhase::Head(Box::new(Head {
            start,
            headers: Headers::default(),
            lines: 0,
            bytes: end + 1,
        }));
        Ok(Step::Again)
    }

    fn header_line(&mut self, mut head: Box<Head>) -> Result<Step, ReadError> {
        let most = self.limits.line_bytes;
        let window = self.buffer.len().min(most + 2);
        let unseen = &self.buffer[self.scanned.min(window)..window];
        let Some(at) = unseen.iter().position(|b| *b == b'\n') else {
            if window > most + 1 {
                return Err(ReadError::LineTooLong(most));
            }
            self.scanned = window;
            self.state = ReadPhase::Head(head);
            return Ok(Step::Wait);
        };
        let end = self.scanned + at;
        let text = line::text(&self.buffer[..end]);
        if text.trim().is_empty() {
            self.buffer.advance(end + 1);
            head.bytes += end + 1;
            return self.end_of_head(head);
        }
        if line::is_status(&text) {
            // The empty line is missing, the next answer is here. It is read as what it is.
            self.quirks.note(Quirk::OddHeaders);
            let item = self.finish(*head, Bytes::new());
            return Ok(Step::Item(item));
        }
        head.lines += 1;
        head.bytes += end + 1;
        if head.lines > self.limits.header_count {
            return Err(ReadError::TooManyHeaders(self.limits.header_count));
        }
        if head.bytes > self.limits.head_bytes {
            return Err(ReadError::HeadTooLong(self.limits.head_bytes));
        }
        if !line::header(&text, &mut head.headers) {
            self.quirks.note(Quirk::OddHeaders);
        }
        self.buffer.advance(end + 1);
        self.scanned = 0;
        self.state = ReadPhase::Head(head);
        Ok(Step::Again)
    }

    fn end_of_head(&mut self, head: Box<Head>) -> Result<Step, ReadError> {
        self.scanned = 0;
        if matches!(head.start, Start::Tunnel { .. }) {
            self.tunnel = false;
            return Ok(Step::Item(self.finish(*head, Bytes::new())));
        }
        let Length { bytes, odd } = line::content_length(&head.headers);
        if odd {
            self.quirks.note(Quirk::WrongLength);
        }
        if bytes > self.limits.body_bytes {
            return Err(ReadError::BodyTooLong(self.limits.body_bytes));
        }
        self.state = ReadPhase::Body(head, bytes);
        Ok(Step::Again)
    }

    fn body(&mut self, head: Box<Head>, length: usize) -> Step {
        let have = self.buffer.len().min(length);
        let is_response = matches!(head.start, Start::Response { .. });
        if is_response {
            let from = self.scanned.saturating_sub(NEXT_ANSWER.len() - 1);
            let unseen = &self.buffer[from.min(have)..have];
            let mut windows = unseen.windows(NEXT_ANSWER.len());
            if let Some(at) = windows.position(|window| window == NEXT_ANSWER) {
                self.quirks.note(Quirk::WrongLength);
                let body = self.buffer.split_to(from + at + 1).freeze();
                return Step::Item(self.finish(*head, body));
            }
        }
        if have < length {
            self.scanned = have;
            self.state = ReadPhase::Body(head, length);
            return Step::Wait;
        }
        let body = self.buffer.split_to(length).freeze();
        Step::Item(self.finish(*head, body))
    }

    fn finish(&mut self, head: Head, body: Bytes) -> Item {
        self.made_sense(head.bytes + body.len());
        self.described = !body.is_empty() && matches!(head.start, Start::Response { .. });
        let headers = head.headers;
        match head.start {
            Start::Response { status, reason } | Start::Tunnel { status, reason } => {
                Item::Response(Response {
                    status,
                    reason,
                    headers,
                    body,
                })
            }
            Start::Request {
                method,
                uri,
                major_version,
            } => Item::Request(Request {
                method,
                uri,
                major_version,
                headers,
                body,
            }),
        }
    }
}
