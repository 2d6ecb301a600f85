//! How much of a DTLS handshake a viewer may send.
//!
//! rtc-dtls keeps the fragments of handshake messages until a message is whole, and goes through all of them with
//! each datagram; it counts their bytes, not them. A viewer that sends fragments without bytes, or of messages
//! that never become whole, would keep a thread busy with ever more of them.
//!
//! Owner: a `session`. Cost: a walk over the records of a handshake's datagrams.
//! Not here: what a message says.

/// Messages and fragments until the handshake is done: certificates of a few kilobytes in fragments, all sent five
/// times.
const BEFORE: u32 = 256;
/// Afterwards: the last ones again, as long as the viewer does not know that it is done.
const AFTERWARDS: u32 = 64;
/// Headers of a record and of a handshake message (RFC 6347 sections 4.1 and 4.2.2).
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;

/// What is left.
#[derive(Debug)]
pub(super) struct HandshakeBudget {
    left: u32,
}

impl HandshakeBudget {
    pub(super) fn new() -> Self {
        Self { left: BEFORE }
    }

    /// The handshake is done.
    pub(super) fn done(&mut self) {
        self.left = AFTERWARDS;
    }

    /// Whether a datagram may be looked at; one that no viewer sends, or that is too much, may not.
    pub(super) fn admit(&mut self, datagram: &[u8]) -> bool {
        let left = fragments(datagram).and_then(|count| self.left.checked_sub(count));
        match left {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// How many fragments of handshake messages there are in a datagram; none of a viewer's is empty.
pub fn fragments(mut datagram: &[u8]) -> Option<u32> {
    let mut count = 0;
    while let Some((header, rest)) = datagram.split_at_checked(RECORD_HEADER) {
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (record, rest) = rest.split_at(length.min(rest.len()));
        datagram = rest;
        if header[0] != HANDSHAKE {
            continue;
        }
        // From the second epoch on it is encrypted, and a message of its own.
        let encrypted = header[3..5] != [0, 0];
        count += if encrypted { 1 } else { messages(record)? };
    }
    Some(count)
}

/// Goes through a record as rtc-dtls does: by the length of whole messages.
fn messages(mut record: &[u8]) -> Option<u32> {
    let mut count = 0;
    while !record.is_empty() {
        let header = record.get(..MESSAGE_HEADER)?;
        let number =
            |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let (length, fragment) = (number(1), number(9));
        if length == 0 || fragment == 0 {
            return None;
        }
        let end = MESSAGE_HEADER.saturating_add(usize::try_from(length).ok()?);
        record = record.get(end..).unwrap_or_default();
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A fragment of a message of so many bytes.
    fn message(sequence: u16, length: u32, fragment: &[u8]) -> Vec<u8> {
        let mut message = vec![1];
        message.extend(&length.to_be_bytes()[1..]);
        message.extend(sequence.to_be_bytes());
        message.extend([0, 0, 0]);
        message.extend(&u32::try_from(fragment.len()).unwrap().to_be_bytes()[1..]);
        message.extend(fragment);
        message
    }

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 254, 253];
        record.extend(epoch.to_be_bytes());
        record.extend([0; 6]);
        record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        record
    }

    #[test]
    fn a_handshake_as_viewers_do_it_is_within() {
        let mut budget = HandshakeBudget::new();
        let hello = record(22, 0, &message(0, 180, &[7; 180]));
        assert!(budget.admit(&hello));
        let flight = [
            record(22, 0, &message(1, 5000, &[7; 1100])),
            record(22, 0, &message(2, 70, &[7; 70])),
            record(20, 0, &[1]),
            record(22, 1, &[9; 48]),
        ];
        for _ in 0..5 {
            assert!(budget.admit(&flight.concat()));
        }
        assert_eq!(budget.left, BEFORE - 1 - 5 * 3);
        budget.done();
        for _ in 0..AFTERWARDS {
            assert!(budget.admit(&flight[3]));
        }
        assert!(!budget.admit(&flight[3]));
        // Alerts come through in any case.
        assert!(budget.admit(&record(21, 1, &[9; 26])));
    }

    #[test]
    fn what_would_be_kept_for_ever_is_not_looked_at() {
        let empty: Vec<u8> = (0..95).flat_map(|n| message(n, 0, &[])).collect();
        assert_eq!(fragments(&record(22, 0, &empty)), None);
        let without_bytes = message(5, 1000, &[]);
        assert_eq!(fragments(&record(22, 0, &without_bytes)), None);
        assert_eq!(fragments(&record(22, 0, &[1; 5])), None);
        // Messages that never become whole.
        let mut budget = HandshakeBudget::new();
        let taken = (0..10_000_u16).filter(|n| {
            let part = message(5000 + n % 60_000, 0xFF_FFFF, &[7; 1100]);
            budget.admit(&record(22, 0, &part))
        });
        assert_eq!(taken.count(), BEFORE as usize);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fragments(&bytes);
            fragments(&record(22, 0, &bytes));
        }
    }
}
